import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DockerClient } from '../docker/index.ts'
import { rawContainer, ScriptedEngine } from '../docker/test-support.ts'
import { addNamespace, ip } from '../linux/test-support.ts'
import { DockerPods, type DockerPodsOptions } from './docker-pods.ts'

async function podsOf(t: Test, engine: ScriptedEngine, options: Partial<DockerPodsOptions> = {}) {
  const lines: string[] = []
  const line = (message: string) => void lines.push(message)
  const source = await DockerPods.watch({
    client: new DockerClient(engine.endpoint),
    node: undefined,
    dnsCapture: true,
    procDirectory: '/nowhere',
    logger: { info: line, warn: line, error: line },
    ...options,
  })
  t.teardown(() => source.close())
  return { source, lines }
}

t.test('the labelled containers of the node; of the host’s name where none is said', async (t) => {
  const engine = await ScriptedEngine.start(t)
  engine.put(rawContainer('here'))
  engine.put(rawContainer('there', { Labels: { 'ztunnel.node': 'node-b' } }))
  engine.put(rawContainer('plain', { Labels: { 'istio.io/dataplane-mode': 'none' } }))
  engine.put(rawContainer('stopped', { State: { Status: 'exited', Running: false, Pid: 0 } }))
  const { source } = await podsOf(t, engine)
  t.equal(source.node, 'host-1')
  t.match(source.pods(), [
    {
      name: 'here',
      namespace: 'default',
      serviceAccount: 'default',
      exclusive: true,
      uid: 'here-0000000-aaaaaaaaaaaa',
    },
  ])
  const other = await podsOf(t, engine, { node: 'node-b' })
  t.strictSame(
    other.source.pods().map(({ name }) => name),
    ['there'],
  )
})

t.test('DNS is captured where Docker answers it, unless the label says otherwise', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const dns = (name: string, label?: string, networks?: object) =>
    engine.put(
      rawContainer(name, {
        ...(label !== undefined && { Labels: { 'ambient.istio.io/dns-capture': label } }),
        ...(networks !== undefined && { NetworkSettings: { Networks: networks } }),
      }),
    )
  const bridge = { bridge: { NetworkID: 'b', IPAddress: '172.17.0.2' } }
  dns('own')
  dns('off', 'false')
  dns('bridge', undefined, bridge)
  dns('bridge-on', 'true', bridge)
  const { source } = await podsOf(t, engine)
  const found = Object.fromEntries(
    source
      .pods()
      .map(({ name, redirection }) => [name, [redirection.dnsCapture, redirection.localNameServer]]),
  )
  t.strictSame(found, {
    own: [true, '127.0.0.11'],
    off: [false, '127.0.0.11'],
    bridge: [false, undefined],
    'bridge-on': [true, undefined],
  })
})

t.test(
  'the namespace: what Docker mounted if it can be seen, else by the process if it is the container’s',
  async (t) => {
    const engine = await ScriptedEngine.start(t)
    const ns = addNamespace('docker-pods')
    t.teardown(() => {
      ns.close()
      ip('netns', 'del', 'docker-pods')
    })
    const proc = t.testdir()
    const hidden = rawContainer('hidden')
    const stranger = rawContainer('stranger', { State: { Pid: 77 } })
    for (const [pid, id] of [
      ['4242', hidden.Id],
      ['77', 'another'],
    ] as const) {
      mkdirSync(join(proc, pid, 'ns'), { recursive: true })
      writeFileSync(join(proc, pid, 'ns/net'), '')
      writeFileSync(join(proc, pid, 'cgroup'), `0::/system.slice/docker-${id}.scope\n`)
    }
    engine.put(hidden)
    engine.put(stranger)
    engine.put(rawContainer('mounted', { NetworkSettings: { SandboxKey: '/run/netns/docker-pods' } }))
    const { source } = await podsOf(t, engine, { procDirectory: proc })
    const paths = Object.fromEntries(
      source.pods().map(({ name, networkNamespace }) => [name, networkNamespace]),
    )
    t.strictSame(paths, {
      hidden: join(proc, '4242/ns/net'),
      stranger: '/var/run/docker/netns/aaaaaaaaaaaa',
      mounted: '/run/netns/docker-pods',
    })
  },
)

t.test('a restart is another pod, a rename the same by another name, and no change none', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const web = rawContainer('web')
  engine.put(web)
  const { source } = await podsOf(t, engine)
  let changed: () => void = () => undefined
  source.subscribe(() => changed())
  const after = async (fields: Readonly<Record<string, object>>, more: object = {}) => {
    engine.put({ ...rawContainer('web', fields), ...more })
    const change = new Promise<void>((resolve) => (changed = resolve))
    engine.containerEvent('update', web.Id)
    await change
    return source.pods()[0]
  }
  const [first] = source.pods()
  t.equal(await after({}), first, 'the very same')
  t.match(await after({}, { Name: '/front' }), { uid: first?.uid, name: 'front' })
  const restarted = await after({ NetworkSettings: { SandboxID: 'b'.repeat(64) } })
  t.not(restarted?.uid, first?.uid)
})

t.test('refusals and slips are told, once', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const shared = rawContainer('shared', { HostConfig: { NetworkMode: 'host' } })
  engine.put(shared)
  engine.put(rawContainer('typo', { Labels: { 'istio.io/dataplane-modes': 'ambient' } }))
  const { source, lines } = await podsOf(t, engine, { node: 'node-a' })
  t.match(source.refused(), [{ container: { name: 'shared' }, reason: /the host's network/ }])
  const change = new Promise<void>((resolve) => source.subscribe(resolve))
  engine.containerEvent('update', shared.Id)
  await change
  t.match(lines, [
    'only containers with label ztunnel.node=node-a are of this node; those without it are of host-1',
    /^container typo: label istio\.io\/dataplane-modes is not known/,
    /^container shared: not in the mesh: /,
  ])
})
