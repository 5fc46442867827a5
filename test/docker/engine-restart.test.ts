import './support/own-namespaces.ts'
import t from 'tap'
import { startEngine } from './support/engine.ts'
import { DockerMesh } from './support/mesh.ts'
import { setTimeLimit } from './support/time-limit.ts'

setTimeLimit(t, 300_000)

t.test('the engine restarts and its containers with it: they are captured anew', async (t) => {
  const engine = await startEngine()
  t.teardown(() => engine.stop())
  const mesh = await DockerMesh.start(engine)
  t.teardown(() => mesh.stop())
  const always = ['--restart=always']
  await mesh.run('sleep', 'sleep', 'node-a', always, ['sleep', '1000'])
  await mesh.run('app-1', 'app', 'node-b', always)
  await mesh.untilAnsweredBy('sleep', 'http://app/', ['app-1'], 'the app answers')
  const before = mesh.log('proxy@node-b').length
  await engine.restart()
  await mesh.untilLogged('agent@node-b', /Docker answers again/)
  await mesh.untilAnsweredBy('sleep', 'http://app/', ['app-1'], 'the app answers')
  await mesh.untilLogged('proxy@node-b', /src\.identity="[^"]*\/sa\/sleep" .*direction="inbound"/, before)
})
