import './support/own-namespaces.ts'
import t from 'tap'
import { startEngine } from './support/engine.ts'
import { DockerMesh } from './support/mesh.ts'
import { setTimeLimit } from './support/time-limit.ts'

setTimeLimit(t, 300_000)

const APP = 'http://app/'
const IDLE = ['sleep', '1000']
const engine = await startEngine({ liveRestore: true })
t.teardown(() => engine.stop())
const mesh = await DockerMesh.start(engine)
t.teardown(() => mesh.stop())

await mesh.run('sleep', 'sleep', 'node-a', [], IDLE)
await mesh.run('app-1', 'app', 'node-b')
await mesh.untilAnsweredBy('sleep', APP, ['app-1'], 'the app answers')

t.test(
  'the agent dies: what is captured stays so, what starts meanwhile is captured by the next',
  async (t) => {
    await mesh.end('agent@node-b', 'SIGKILL')
    t.strictSame(await mesh.ask('sleep', APP, 3), { 'app-1': 3 })
    await mesh.run('app-2', 'app', 'node-b')
    mesh.startAgent('node-b')
    await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'both answer')
  },
)

t.test('the proxy dies: the next is told of all', async () => {
  await mesh.end('proxy@node-b', 'SIGKILL')
  await mesh.untilAnsweredBy('sleep', APP, ['ECONNRESET'], 'nothing goes past the mesh')
  mesh.startProxy('node-b')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'both answer')
})

t.test('the config server dies: the next gives every service the address that it had', async (t) => {
  await mesh.end('config-server', 'SIGKILL')
  t.strictSame(Object.keys(await mesh.ask('sleep', APP, 8)).sort(), ['app-1', 'app-2'])
  await mesh.startConfigServer()
  await mesh.run('app-3', 'app', 'node-b')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2', 'app-3'], 'all answer')
  await engine.docker('rm', '-f', 'app-3')
})

t.test('a second agent of a node is told, and takes over when the first ends', async () => {
  mesh.startAgent('node-a', [], 'agent@node-a-too')
  await mesh.untilLogged(
    'agent@node-a-too',
    /pod is not captured.*name="sleep".*another agent has .*two agents take the same pods/,
  )
  await mesh.end('agent@node-a')
  await mesh.untilLogged('agent@node-a-too', /awaiting-proxy/)
  await mesh.end('agent@node-a-too')
  mesh.startAgent('node-a')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'both answer')
})

t.test('the engine dies and containers go on: so does the mesh, and what starts later joins', async (t) => {
  await engine.kill()
  await mesh.untilLogged('agent@node-b', /Docker is away; what it last said stays in force/)
  await mesh.untilLogged('config-server', /Docker is away; what it last said stays in force/)
  await engine.start()
  t.strictSame(Object.keys(await mesh.ask('sleep', APP, 8)).sort(), ['app-1', 'app-2'])
  await mesh.untilLogged('agent@node-b', /Docker answers again/)
  await mesh.run('app-4', 'app', 'node-b', ['--restart=always'])
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2', 'app-4'], 'all answer')
})
