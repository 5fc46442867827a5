import './support/own-namespaces.ts'
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { BASE_IMAGE } from './support/base-image.ts'
import { startEngine } from './support/engine.ts'
import { DockerMesh, NETWORK } from './support/mesh.ts'
import { setTimeLimit } from './support/time-limit.ts'

setTimeLimit(t, 300_000)

const APP = 'http://app/'
const IDLE = ['sleep', '1000']
/** Prints the address that a name has. */
const RESOLVE =
  'require("node:dns").lookup(process.argv[1], (error, address) => console.log(error ?? address))'
const engine = await startEngine()
t.teardown(() => engine.stop())
const mesh = await DockerMesh.start(engine)
t.teardown(() => mesh.stop())

t.test('running containers join without a restart', async (t) => {
  await mesh.run('plain', 'plain', 'node-a', ['--label', 'istio.io/dataplane-mode=none'])
  await mesh.run('sleep', 'sleep', 'node-a', [], IDLE)
  await mesh.run('app-1', 'app', 'node-b')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1'], 'the app answers')
  await mesh.untilLogged(
    'proxy@node-b',
    /src\.identity="spiffe:\/\/cluster\.local\/ns\/demo\/sa\/sleep" .*direction="inbound"/,
  )
  t.pass('by mutual TLS, as who they are')
})

t.test('names: the mesh first, then Docker', async (t) => {
  await engine.docker(
    'run',
    '-d',
    '--name',
    'stranger',
    '--network',
    NETWORK,
    BASE_IMAGE,
    'node',
    '/server.ts',
    '8080',
  )
  const stranger = await engine.docker('inspect', 'stranger', '-f', '{{.Config.Hostname}}')
  for (const url of [APP, 'http://app.demo/', 'http://app.demo.svc.cluster.local/']) {
    t.strictSame(await mesh.ask('sleep', url), { 'app-1': 1 }, url)
  }
  t.strictSame(
    await mesh.ask('sleep', 'http://stranger:8080/'),
    { [stranger]: 1 },
    'a container outside of the mesh',
  )
})

t.test('another container of the service shares the load', async () => {
  await mesh.run('app-2', 'app', 'node-b')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'both answer')
})

t.test('one that stops leaves, and is back when it starts', async () => {
  await engine.docker('stop', '-t', '1', 'app-2')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1'], 'one answers')
  await engine.docker('start', 'app-2')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'both answer')
})

t.test('one that is paused leaves, and is back when it goes on', async () => {
  await engine.docker('pause', 'app-2')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1'], 'one answers')
  await engine.docker('unpause', 'app-2')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'both answer')
})

t.test('one that is killed, and one that is restarted', async () => {
  await engine.docker('kill', 'app-1')
  await mesh.untilAnsweredBy('sleep', APP, ['app-2'], 'one answers')
  await engine.docker('restart', '-t', '1', 'app-1')
  await engine.docker('restart', '-t', '1', 'sleep')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'both answer')
})

t.test('one that is renamed has another name in the mesh', async () => {
  const from = mesh.log('proxy@node-b').length
  await engine.docker('rename', 'app-2', 'app-renamed')
  await mesh.untilLogged('proxy@node-b', /proxy started.*name="app-renamed"/)
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'both answer')
  await mesh.untilLogged('proxy@node-b', /dst\.workload="app-renamed".*direction="inbound"/, from)
  await engine.docker('rename', 'app-renamed', 'app-2')
})

t.test('one that is taken off its network leaves, and is back with its new address', async () => {
  await engine.docker('network', 'disconnect', NETWORK, 'app-2')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1'], 'one answers')
  await engine.docker('network', 'connect', '--ip', '10.90.0.77', NETWORK, 'app-2')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'both answer')
})

t.test('an unhealthy one is spared', async () => {
  const check = ['--health-cmd', 'cat /healthy', '--health-interval', '200ms', '--health-retries', '1']
  await mesh.run('app-3', 'app', 'node-b', check)
  await mesh.untilLogged('agent@node-b', /pod is captured.*name="app-3"/)
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'it does not answer')
  await engine.docker('exec', 'app-3', 'sh', '-c', '> /healthy')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2', 'app-3'], 'now it does')
  await engine.docker('rm', '-f', 'app-3')
})

t.test('two address families, and a network without a way out', async (t) => {
  await engine.docker('network', 'create', '--ipv6', '--subnet', 'fd00:90::/64', 'dual')
  await engine.docker('network', 'create', '--internal', 'inside')
  for (const network of ['dual', 'inside']) {
    await mesh.run(`client-${network}`, `client-${network}`, 'node-a', ['--network', network], IDLE)
    await mesh.run(`server-${network}`, `server-${network}`, 'node-b', ['--network', network])
  }
  const address = await engine.docker(
    'inspect',
    'server-dual',
    '-f',
    '{{.NetworkSettings.Networks.dual.GlobalIPv6Address}}',
  )
  const from = mesh.log('proxy@node-b').length
  for (const url of ['http://server-dual/', `http://[${address}]:8080/`]) {
    await mesh.untilAnsweredBy('client-dual', url, ['server-dual'], url)
  }
  await mesh.untilLogged('proxy@node-b', /src\.addr=\[fd00:90::.*sa\/client-dual".*direction="inbound"/, from)
  const resolved = await engine.docker('exec', 'client-inside', 'node', '-e', RESOLVE, 'server-inside')
  t.match(resolved, /^(?!240\.)/, 'no virtual address where no packet to it could leave')
  await mesh.untilAnsweredBy('client-inside', 'http://server-inside:8080/', ['server-inside'], 'it answers')
  await mesh.untilLogged('proxy@node-b', /sa\/client-inside".*direction="inbound"/, from)
  await engine.docker('rm', '-f', 'client-dual', 'server-dual', 'client-inside', 'server-inside')
})

t.test('policies of the folder select containers by their labels', async () => {
  mesh.writeConfig('deny.yaml', DENY)
  await mesh.untilAnsweredBy('sleep', APP, ['ECONNRESET'], 'it is denied')
  mesh.writeConfig('deny.yaml', '# lifted\n')
  await mesh.untilAnsweredBy('sleep', APP, ['app-1', 'app-2'], 'it is allowed')
})

t.test('what cannot be captured is refused with a reason', async (t) => {
  await mesh.run('in-host', 'in-host', 'node-a', ['--network=host'], IDLE)
  await mesh.run('no-net', 'no-net', 'node-a', ['--network=none'], IDLE)
  await mesh.run('shares', 'shares', 'node-a', ['--network=container:app-1'], IDLE)
  await mesh.run('typo', 'typo', 'node-a', ['--label', 'istio.io/dataplane-modes=ambient'], IDLE)
  const messages = [
    /container in-host: not in the mesh: it is in the host's network/,
    /container no-net: not in the mesh: it has no network/,
    /container shares: not in the mesh: it shares the network of container app-1 and is in the mesh as that one/,
    /container typo: label istio\.io\/dataplane-modes is not known and has no effect: is istio\.io\/dataplane-mode meant\?/,
  ]
  for (const message of messages) await mesh.untilLogged('agent@node-a', message)
  const { source } = await mesh.status()
  for (const message of messages)
    t.ok(
      source.problems.some(({ text }) => message.test(text)),
      String(message),
    )
  await engine.docker('rm', '-f', 'in-host', 'no-net', 'shares', 'typo')
})

t.test('at the end, with --cleanup, nothing is left in the containers', async (t) => {
  await mesh.end('agent@node-b')
  const from = mesh.log('agent@node-b').length
  mesh.startAgent('node-b', ['--cleanup'])
  await mesh.untilLogged('agent@node-b', /agent ready/, from)
  await mesh.end('agent@node-b')
  const path = await engine.docker('inspect', 'app-1', '-f', '{{.NetworkSettings.SandboxKey}}')
  const rules = execFileSync('nsenter', [`--net=${path}`, 'iptables-save'], { encoding: 'utf8' })
  t.notMatch(rules, /ISTIO/)
  t.match(rules, /DOCKER_OUTPUT/, "Docker's own are")
})

const DENY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny, namespace: demo }
spec:
  selector: { matchLabels: { app: app } }
  action: DENY
  rules:
    - from: [{ source: { serviceAccounts: [demo/sleep] } }]
`
