// Our xDS server and a client of another make: grpc-js, messages written and
// read by field number, requests in the Rust ztunnel's order (see foreign-ztunnel.ts).
import t from 'tap'
import { pod } from '../../src/config-server/test-support.ts'
import {
  ADDRESS,
  AUTHORIZATION,
  type ForeignResource,
  type ForeignResponse,
  type ForeignStream,
  foreignNode,
} from '../support/foreign-ztunnel.ts'
import { meshForForeigners, policy } from '../support/mesh-for-foreigners.ts'
import { until } from '../support/until.ts'
import { lengthField, messages, number, readFields, string, varintField } from '../support/wire.ts'

const A = 'Kubernetes//Pod/foo/a'
const B = 'Kubernetes//Pod/foo/b'
const SERVICE = 'foo/a.foo.svc.cluster.local'

t.test('a whole mesh, then changes, each acknowledged', async (t) => {
  const { mesh, server, ztunnel } = await meshForForeigners(t)
  const stream = (await ztunnel()).stream()
  const first = await subscribe(stream)
  t.strictSame(names(first.addresses.resources), [A, B, SERVICE])
  t.strictSame(names(first.policies.resources), ['foo/p'])
  for (const { bodyType, version, aliases } of first.addresses.resources)
    t.match({ bodyType, version, aliases }, { bodyType: ADDRESS, version: /./, aliases: [] })
  t.equal(first.policies.resources[0]?.bodyType, AUTHORIZATION)

  await t.test('a workload, a service and a policy have their fields under the right numbers', async (t) => {
    const workload = readFields(messages(readFields(bodyOf(first.addresses, A)), 1)[0] ?? Buffer.alloc(0))
    t.equal(string(workload, 20), A)
    t.strictSame([string(workload, 1), string(workload, 2), string(workload, 7)], ['a', 'foo', 'a'])
    t.strictSame(messages(workload, 3), [Buffer.from([10, 0, 0, 1])])
    t.equal(number(workload, 5), 1, 'HBONE')
    t.equal(string(workload, 9), 'node-a')
    const [endpoint = Buffer.alloc(0)] = messages(workload, 22)
    t.equal(string(readFields(endpoint), 1), SERVICE)
    const [ports = Buffer.alloc(0)] = messages(readFields(endpoint), 2)
    const [port = Buffer.alloc(0)] = messages(readFields(ports), 1)
    t.strictSame([number(readFields(port), 1), number(readFields(port), 2)], [80, 8080])
    const service = readFields(
      messages(readFields(bodyOf(first.addresses, SERVICE)), 2)[0] ?? Buffer.alloc(0),
    )
    t.strictSame(
      [string(service, 1), string(service, 2), string(service, 3)],
      ['a', 'foo', 'a.foo.svc.cluster.local'],
    )
    const [vip = Buffer.alloc(0)] = messages(service, 4)
    t.strictSame(messages(readFields(vip), 2), [Buffer.from([10, 96, 0, 1])])
    const rule = readFields(bodyOf(first.policies, 'foo/p'))
    t.strictSame([string(rule, 1), string(rule, 2), number(rule, 3), number(rule, 4)], ['p', 'foo', 1, 0])
  })

  stream.ack(first.addresses)
  stream.ack(first.policies)
  await mesh.write('b.yaml', pod('c', { node: 'node-b', ip: '10.0.0.2' }))
  const change = await stream.next()
  t.match(change, { type: ADDRESS, removed: [B] })
  t.strictSame(names(change.resources), ['Kubernetes//Pod/foo/c'], 'only what changed')
  t.not(change.nonce, first.addresses.nonce)

  // A stale nonce acknowledges nothing; so the next change waits for the true one.
  stream.ack(first.addresses)
  stream.send({ type: ADDRESS, nonce: change.nonce, error: `${B}: cannot be used` })
  await until(
    () => server.status().proxies[0]?.types.some(({ nacks }) => nacks === 1) === true,
    'the NACK to be counted',
  )
  await mesh.write('p.yaml', policy('q'))
  const added = await stream.next()
  t.match(added, { type: AUTHORIZATION, removed: [] }, 'what was refused is not sent again')
  t.strictSame(names(added.resources), ['foo/q'])
  stream.ack(added)
  const withdrawn = await stream.next()
  t.match(withdrawn, { type: AUTHORIZATION, removed: ['foo/p'], resources: [] })
  stream.ack(withdrawn)
})

t.test('after a reconnect only the differences are sent, also by another server', async (t) => {
  const { mesh, ztunnel, restart } = await meshForForeigners(t)
  const before = (await ztunnel()).stream()
  const first = await subscribe(before)
  before.ack(first.addresses)
  before.ack(first.policies)
  const held = {
    addresses: new Map(first.addresses.resources.map(({ name, version }) => [name, version])),
    policies: new Map(first.policies.resources.map(({ name, version }) => [name, version])),
  }
  before.close()
  await restart()

  const same = (await ztunnel()).stream()
  const nothing = await subscribe(same, held)
  for (const { resources, removed } of [nothing.addresses, nothing.policies])
    t.strictSame([resources, removed], [[], []], 'the same mesh has the same versions after a restart')
  same.close()

  await mesh.write('b.yaml', pod('b', { node: 'node-b', ip: '10.0.0.22' }))
  await mesh.write('s.yaml', '')
  await mesh.write('p.yaml', policy('q'))
  await restart()
  held.addresses.set('Kubernetes//Pod/foo/of-long-ago', 'some version')
  // Demanded and never received: the Rust program sends the name without a version.
  held.addresses.set('foo/nobody.foo.svc.cluster.local', '')
  const again = (await ztunnel()).stream()
  const difference = await subscribe(again, held)
  t.strictSame(names(difference.addresses.resources), [A, B], 'a has lost its service, b has moved')
  t.strictSame(
    [...difference.addresses.removed].sort(),
    ['Kubernetes//Pod/foo/of-long-ago', SERVICE, 'foo/nobody.foo.svc.cluster.local'].sort(),
  )
  again.ack(difference.addresses)
  t.strictSame(names(difference.policies.resources), ['foo/q'])
  t.strictSame(difference.policies.removed, [], 'the old policy stays until the new one is in force')
  again.ack(difference.policies)
  t.match(await again.next(), { type: AUTHORIZATION, removed: ['foo/p'] })
})

t.test('an empty mesh is an answer for each type', async (t) => {
  const { ztunnel } = await meshForForeigners(t, {})
  const { addresses, policies } = await subscribe((await ztunnel()).stream())
  t.match([addresses, policies], [{ nonce: /./ }, { nonce: /./ }])
  t.strictSame([addresses.resources, policies.resources], [[], []])
})

t.test('on demand', async (t) => {
  const { mesh, ztunnel, restart } = await meshForForeigners(t)
  const stream = (await ztunnel()).stream()
  const first = await subscribe(stream, {}, true)
  t.strictSame([first.addresses.resources, first.addresses.removed], [[], []])
  t.strictSame(names(first.policies.resources), ['foo/p'], 'policies are all sent')
  stream.ack(first.addresses)
  stream.ack(first.policies)
  const ask = async (name: string) => {
    stream.send({ type: ADDRESS, subscribe: [name] })
    const answer = await stream.next()
    stream.ack(answer)
    return answer
  }
  const byAddress = await ask('/10.0.0.2')
  t.strictSame(names(byAddress.resources), [B])
  t.ok(byAddress.resources[0]?.aliases.includes('/10.0.0.2'), 'under its own name, with the other as alias')
  t.strictSame(names((await ask(B)).resources), [B], 'asked again it is answered again')
  t.strictSame((await ask('/10.9.9.9')).removed, ['/10.9.9.9'])
  t.strictSame((await ask('foo/absent.foo.svc.cluster.local')).removed, ['foo/absent.foo.svc.cluster.local'])
  t.strictSame(names((await ask(SERVICE)).resources), [A, SERVICE], 'a service comes with its workloads')

  await mesh.write('b.yaml', pod('d', { ip: '10.0.0.4' }))
  const change = await stream.next()
  t.strictSame([names(change.resources), change.removed], [[], [B]], 'nothing of what was not asked for')
  stream.ack(change)
  await mesh.write('e.yaml', pod('e', { ip: '10.9.9.9' }))
  t.strictSame(names((await stream.next()).resources), ['Kubernetes//Pod/foo/e'], 'what was absent has come')

  stream.close()
  await restart()
  const again = (await ztunnel()).stream()
  const held = new Map([['foo/nobody.foo.svc.cluster.local', '']])
  for (const { name, version } of byAddress.resources) held.set(name, version)
  const { addresses } = await subscribe(again, { addresses: held }, true)
  t.strictSame(
    [names(addresses.resources), [...addresses.removed].sort()],
    [[], [B, 'foo/nobody.foo.svc.cluster.local']],
  )
})

t.test('what a client may not do ends its stream with the status that istiod uses', async (t) => {
  const { ztunnel, server } = await meshForForeigners(t)
  const refused = async (
    what: string,
    token: string | undefined,
    node: Buffer,
    code: number,
    text: RegExp,
  ) => {
    const stream = (await ztunnel({ token })).stream()
    stream.send({ type: ADDRESS, node })
    t.match(await stream.ended(), { code, details: text }, what)
    t.strictSame(stream.unread, [], `${what}: nothing of the mesh`)
  }
  const good = await server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 })
  await refused('no token', undefined, foreignNode(), 16, /./)
  await refused('a token of nobody', 'abc.def.ghi', foreignNode(), 16, /./)
  await refused('another node', good, foreignNode({ NODE_NAME: 'node-b' }), 7, /no identities matched/)
  await refused('another namespace', good, foreignNode({ NAMESPACE: 'foo' }), 7, /no identities matched/)
  await refused('no node', good, Buffer.alloc(0), 3, /node/)
  await refused('a node id of three parts', good, lengthField(1, 'ztunnel~127.0.0.1~z'), 3, /node id/)
})

t.test('what a newer client adds is passed over', async (t) => {
  const { ztunnel } = await meshForForeigners(t)
  const stream = (await ztunnel()).stream()
  const unknown = Buffer.concat([lengthField(99, 'of the year 2030'), varintField(98, -1)])
  stream.sendBytes(
    Buffer.concat([
      lengthField(1, Buffer.concat([foreignNode(), unknown])),
      lengthField(2, ADDRESS),
      unknown,
    ]),
  )
  t.strictSame(names((await stream.next()).resources), [A, B, SERVICE])
  stream.send({ type: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' })
  stream.send({ type: AUTHORIZATION })
  t.strictSame(names((await stream.next()).resources), ['foo/p'], 'a type that is not served harms no other')
  t.equal(stream.end, undefined)
})

t.test('bytes that are no message end the stream, not the server', async (t) => {
  const { ztunnel } = await meshForForeigners(t)
  const bad = (await ztunnel()).stream()
  bad.sendBytes(Buffer.from('0affffffffff', 'hex'))
  t.not((await bad.ended()).code, 0)
  await subscribe((await ztunnel()).stream())
})

interface Held {
  readonly addresses?: ReadonlyMap<string, string>
  readonly policies?: ReadonlyMap<string, string>
}

/** The Rust program's first two requests, and an answer to each, in whichever order they come. */
async function subscribe(stream: ForeignStream, held: Held = {}, onDemand = false) {
  const node = foreignNode()
  const nothing = onDemand ? { subscribe: ['*'], unsubscribe: ['*'] } : {}
  stream.send({ type: ADDRESS, node, initialVersions: held.addresses ?? new Map(), ...nothing })
  stream.send({ type: AUTHORIZATION, node, initialVersions: held.policies ?? new Map() })
  const both = [await stream.next(), await stream.next()]
  const of = (type: string): ForeignResponse => {
    const response = both.find((one) => one.type === type)
    if (response === undefined) throw new Error(`no response for ${type}`)
    return response
  }
  return { addresses: of(ADDRESS), policies: of(AUTHORIZATION) }
}

function names(resources: readonly ForeignResource[]): string[] {
  return resources.map(({ name }) => name).sort()
}

function bodyOf({ resources }: ForeignResponse, name: string): Buffer {
  return resources.find((resource) => resource.name === name)?.body ?? Buffer.alloc(0)
}
