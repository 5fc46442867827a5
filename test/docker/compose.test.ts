import './support/own-namespaces.ts'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../support/until.ts'
import { APP_IMAGE, IMAGE } from './support/build-images.ts'
import { ComposeProject } from './support/compose.ts'
import { startBareEngine } from './support/engine.ts'
import { setTimeLimit } from './support/time-limit.ts'

setTimeLimit(t, 600_000)

const HTTPBIN = 'http://httpbin:8000/hello'
const LEDGER = 'http://ledger:7000/hello'
const SLEEP = 'spiffe://cluster.local/ns/demo/sa/sleep'

const images = process.env['ZTUNNEL_TEST_IMAGES']
if (images === undefined) throw new Error('run this by `npm run test:docker`, which builds the images')
// As on most hosts: what the engine mounts later can be seen in containers.
execFileSync('mount', ['--make-rshared', '/'])
const engine = await startBareEngine()
t.teardown(() => engine.stop())
await engine.docker('load', '-q', '-i', images)
const before = rulesAndLinks()
const project = new ComposeProject(engine)
t.teardown(() => project.down().catch(() => {}))

t.test('docker compose up: sleep reaches httpbin through both proxies, each as who it is', async (t) => {
  const started = performance.now()
  await project.compose('up', '-d', '--no-build')
  const { body } = await project.untilAnswered(HTTPBIN, 200)
  t.comment(`first captured connection after ${Math.round(performance.now() - started)} ms`)
  t.match(JSON.parse(body), { app: 'httpbin', path: '/hello' })
  await project.untilLogged('proxy-a', new RegExp(`src.identity="${SLEEP}".*direction="outbound"`))
  await project.untilLogged(
    'proxy-b',
    new RegExp(`src.identity="${SLEEP}".*direction="inbound".*policy="demo/httpbin"`),
  )
})

t.test('every part is confined, and has no capability that it has no use for', async (t) => {
  const node = ['NET_ADMIN', 'SYS_ADMIN']
  const added = { 'agent-a': node, 'agent-b': node, 'proxy-a': node, 'proxy-b': node }
  const services = (await project.compose('config', '--services')).split('\n')
  const profiled = /^(waypoint|prometheus|ledger.*)$/
  const running = services.filter((service) => !profiled.test(service))
  for (const service of running) {
    const [{ HostConfig }] = JSON.parse(await engine.docker('inspect', await project.container(service)))
    const capAdd = (HostConfig.CapAdd ?? []).map((name: string) => name.replace(/^CAP_/, '')).sort()
    t.strictSame(capAdd, added[service as keyof typeof added] ?? [], `${service}: capabilities`)
    const expected = { Privileged: false, ReadonlyRootfs: true, CapDrop: ['ALL'], PidMode: '' }
    t.match(HostConfig, { ...expected, SecurityOpt: ['no-new-privileges:true'] }, `${service}: the rest`)
  }
})

t.test('health is told', async () => {
  for (const service of ['config-server', 'credentials', 'agent-a', 'proxy-a', 'agent-b', 'proxy-b']) {
    const id = await project.container(service)
    const healthy = async () =>
      (await engine.docker('inspect', '-f', '{{.State.Health.Status}}', id)) === 'healthy'
    await until(healthy, `${service} is healthy`, 60_000)
  }
})

t.test('who is not in the mesh is refused by a policy that names who may', async (t) => {
  t.equal(await outsider(`http://${await project.address('httpbin')}:8000/`), 0)
})

t.test('a policy that is edited is in force with the next connections', async () => {
  project.edit('httpbin.yaml', (text) => text.replace('demo/sleep', 'demo/other'))
  await project.untilAnswered(HTTPBIN, 0)
  project.edit('httpbin.yaml', (text) => text.replace('demo/other', 'demo/sleep'))
  await project.untilAnswered(HTTPBIN, 200)
})

t.test('docker compose up --scale: all share the load, and one is left when it is undone', async () => {
  await project.compose('up', '-d', '--no-build', '--no-recreate', '--scale', 'httpbin=5')
  await until(async () => (await answering('proxy-b', 20)).size === 5, 'all five answer', 60_000)
  await project.compose('up', '-d', '--no-build', '--no-recreate', '--scale', 'httpbin=1')
  await until(async () => (await answering('proxy-b', 5)).size === 1, 'one answers', 60_000)
})

t.test('each part may be killed', async () => {
  for (const service of ['httpbin', 'agent-b', 'proxy-b', 'config-server', 'sleep']) {
    const id = await project.container(service)
    await engine.docker('kill', id)
    await engine.docker('start', id)
    await until(
      async () => (await answering('proxy-b', 1)).size === 1,
      `captured after ${service} died`,
      60_000,
    )
  }
})

t.test('with its profile, the waypoint judges requests', async (t) => {
  await project.compose('--profile', 'waypoint', 'up', '-d', '--no-build', '--no-recreate')
  await project.untilAnswered('http://helloworld:5000/admin', 403)
  const { body } = await project.untilAnswered('http://helloworld:5000/hello', 200)
  t.match(JSON.parse(body).app, /^helloworld-v[12]$/)
  const [{ Config, HostConfig }] = JSON.parse(
    await engine.docker('inspect', await project.container('waypoint')),
  )
  t.equal(Config.User, '1337:1337')
  t.match(HostConfig, { Privileged: false, ReadonlyRootfs: true, CapDrop: ['ALL'] })
  t.notOk(HostConfig.CapAdd?.length)
})

t.test(
  'with its profile, Envoy is the sidecar of a pod: both ways by HBONE, and no plaintext in',
  async (t) => {
    await project.compose('--profile', 'sidecar', 'up', '-d', '--no-build', '--no-recreate')
    const { body } = await project.untilAnswered(LEDGER, 200)
    t.match(JSON.parse(body), { app: 'ledger' })
    await project.untilLogged(
      'proxy-a',
      new RegExp(`src.identity="${SLEEP}".*dst.service="ledger.demo.*direction="outbound"`),
    )
    await project.untilLogged('ledger-envoy', new RegExp(`^terminate .*peer=${SLEEP}`, 'm'))
    const own = 'spiffe://cluster.local/ns/demo/sa/ledger'
    t.equal((await project.curl('ledger-app', 'http://helloworld-v2:5000/hello')).status, 200)
    await project.untilLogged(
      'ledger-envoy',
      /^originate .*flags=- .*peer=spiffe:\/\/cluster\.local\/ns\/demo\/sa\/helloworld/m,
    )
    await project.untilLogged('proxy-b', new RegExp(`src.identity="${own}".*direction="inbound"`))
    t.equal(
      (await project.curl('ledger-app', HTTPBIN)).status,
      0,
      'the policy of httpbin knows it by its identity',
    )
    const plaintext = `http://${await project.address('ledger')}:7000/`
    t.equal(await outsider(plaintext), 0, 'plaintext')
    project.edit('ledger.yaml', (text) => text.replace('STRICT', 'PERMISSIVE'))
    await engine.docker('restart', '-t', '5', await project.container('ledger-envoy'))
    await until(async () => (await outsider(plaintext)) === 200, 'plaintext once it may', 60_000)
    for (const [service, capabilities] of [
      ['ledger', ['NET_ADMIN']],
      ['ledger-app', []],
      ['ledger-envoy', []],
    ] as const) {
      const [{ HostConfig }] = JSON.parse(await engine.docker('inspect', await project.container(service)))
      t.strictSame(
        (HostConfig.CapAdd ?? []).map((name: string) => name.replace(/^CAP_/, '')),
        capabilities,
        `${service}: capabilities`,
      )
      t.match(
        HostConfig,
        { Privileged: false, ReadonlyRootfs: true, CapDrop: ['ALL'] },
        `${service}: the rest`,
      )
    }
  },
)

t.test('what is missing is told, with what to do', async (t) => {
  const socket = `${engine.socket}:/var/run/docker.sock:ro`
  const root = ['--user=0:1337', '--cap-drop=ALL']
  const agent = [IMAGE, 'agent', '--docker', '--node=node-c', '--zds-socket=/tmp/zds.sock']
  const both = ['--cap-add=NET_ADMIN', '--cap-add=SYS_ADMIN']
  t.match(
    await refused(...root, '--cap-add=SYS_ADMIN', '-v', socket, ...agent),
    /CAP_NET_ADMIN missing.*--cap-add NET_ADMIN/,
  )
  t.match(await refused(...root, ...both, ...agent), /there is no \/var\/run\/docker\.sock.*mount it/)
  t.match(
    await refused('-v', socket, '--cap-drop=ALL', IMAGE, 'config-server', '--docker', '--certs=/tmp'),
    /may not be opened: run as root/,
  )
  t.match(
    await refused(
      ...root,
      '--env=NODE_NAME=node-c',
      '--env=XDS_ROOT_CA=SYSTEM',
      '--env=CA_ROOT_CA=SYSTEM',
      IMAGE,
      'proxy',
    ),
    /PROXY_MODE=shared takes CAP_SYS_ADMIN/,
  )
})

t.test('an agent whose image has no iptables says so', async () => {
  const labels = ['--label=istio.io/dataplane-mode=ambient', '--label=ztunnel.node=node-c']
  const network = '--network=demo_default'
  await engine.docker(
    'run',
    '-d',
    '--name=bare',
    network,
    ...labels,
    '--entrypoint=sleep',
    APP_IMAGE,
    'infinity',
  )
  const netns = join(engine.directory, 'exec/netns')
  const mounts = ['-v', `${engine.socket}:/var/run/docker.sock`, '-v', `${netns}:${netns}:ro,rslave`]
  const flags = [
    '--user=0:1337',
    '--cap-drop=ALL',
    '--cap-add=NET_ADMIN',
    '--cap-add=SYS_ADMIN',
    '--tmpfs=/usr/sbin',
  ]
  const agent = [IMAGE, 'agent', '--docker', '--node=node-c']
  await engine.docker('run', '-d', '--name=agent-c', ...flags, ...mounts, ...agent)
  const told = async () =>
    /iptables\S* is not installed; .*apt-get install iptables/.test(await engine.docker('logs', 'agent-c'))
  await until(told, 'it is told', 30_000)
  await engine.docker('rm', '-f', 'bare', 'agent-c')
})

t.test('the engine is restarted: the mesh comes back with it', async () => {
  await engine.restart()
  await until(async () => (await answering('proxy-b', 1)).size === 1, 'captured again', 120_000)
})

t.test('docker compose down: nothing is left', async (t) => {
  await project.down()
  t.equal(await engine.docker('ps', '-aq'), '', 'containers')
  t.equal(await engine.docker('volume', 'ls', '-q'), '', 'volumes')
  const networks = await engine.docker('network', 'ls', '--format', '{{.Name}}')
  t.strictSame(networks.split('\n').sort(), ['bridge', 'host', 'none'], 'networks')
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  const namespaces = mounts.filter(
    (line) => line.includes('/exec/netns/') && !line.includes('/netns/default '),
  )
  t.strictSame(namespaces, [], 'network namespaces')
  t.strictSame(rulesAndLinks(), before, 'rules and links')
})

/** Which containers of httpbin that many requests reached, by the proxy's word. */
async function answering(proxy: string, requests: number): Promise<ReadonlySet<string>> {
  const count = (log: string) => log.split('\n').filter((line) => COMPLETE.test(line))
  const earlier = count(await project.logs(proxy)).length
  for (let i = 0; i < requests; i++) {
    if ((await project.curl('sleep', HTTPBIN)).status !== 200) return new Set()
  }
  let lines: string[] = []
  const told = async () => {
    lines = count(await project.logs(proxy)).slice(earlier)
    return lines.length >= requests
  }
  await until(told, `${requests} lines of ${proxy}`, 10_000).catch(() => {})
  return new Set(lines.map((line) => /dst\.workload="([^"]*)"/.exec(line)?.[1] ?? ''))
}

/** The HTTP status that a container out of the mesh gets; 0: none. */
async function outsider(url: string): Promise<number> {
  const curl = ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', '5', url]
  const run = [
    'run',
    '--rm',
    '--network',
    'demo_default',
    '--entrypoint',
    'sh',
    APP_IMAGE,
    '-c',
    '"$@" || true',
    'sh',
  ]
  return Number(await engine.docker(...run, ...curl))
}

/** Standard error of a container that ends by itself, and not well. */
async function refused(...args: readonly string[]): Promise<string> {
  try {
    return `not refused: ${await engine.docker('run', '--rm', '--read-only', '--tmpfs=/tmp', ...args)}`
  } catch (error) {
    return String(error)
  }
}

function rulesAndLinks(): Readonly<Record<string, string>> {
  const run = (program: string, ...args: readonly string[]) =>
    execFileSync(program, args, { encoding: 'utf8' })
  const rules = run('iptables-save')
    .split('\n')
    .filter((line) => line.startsWith('-'))
  return { rules: rules.sort().join('\n'), links: run('ip', '-brief', 'link').replace(/^(\S+).*$/gm, '$1') }
}

const COMPLETE = new RegExp(`src.identity="${SLEEP}".*dst\\.workload="demo.httpbin.*direction="inbound"`)
