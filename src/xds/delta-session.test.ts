import { create, type MessageInitShape } from '@bufbuild/protobuf'
import t from 'tap'
import { DeltaDiscoveryRequestSchema } from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { Workload } from '../mesh/model.ts'
import { DeltaSession } from './delta-session.ts'
import { silentLog } from './log.ts'
import { meshResources } from './mesh-resources.ts'
import { ResourceCache } from './resource-cache.ts'
import { policy, service, workload } from './test-support.ts'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from './type-urls.ts'

const NODE = { id: 'ztunnel~10.0.0.9~z.istio-system~istio-system.svc.cluster.local' }
const CALLER = {
  id: { trustDomain: 'cluster.local', namespace: 'istio-system', serviceAccount: 'ztunnel' },
  node: 'n',
}
const UID = 'Kubernetes//Pod/foo/'

const warnings: string[] = []

interface Setup {
  readonly cache: ResourceCache
  readonly session: DeltaSession
  put(...workloads: Workload[]): void
  send(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void
  next(): { type: string; nonce: string; names: string[]; removed: string[] } | undefined
  clock: number
}

function setup(...workloads: Workload[]): Setup {
  const cache = new ResourceCache()
  const put = (...all: Workload[]) =>
    cache.replace(meshResources({ workloads: all, services: [service('web')], policies: [] }))
  put(...workloads)
  const state: Setup = {
    cache,
    session: new DeltaSession({
      cache,
      caller: CALLER,
      log: { ...silentLog, warn: (fields) => void warnings.push(JSON.stringify(fields)) },
      now: () => state.clock,
      ackPatienceMs: 1000,
    }),
    put,
    send: (request) => state.session.receive(create(DeltaDiscoveryRequestSchema, request)),
    next: () => {
      const response = state.session.next()
      if (response === undefined) return undefined
      const names = response.resources.map(({ name }) => name.replace(UID, ''))
      const { typeUrl: type, nonce, removedResources } = response
      return { type, nonce, names, removed: removedResources.map((name) => name.replace(UID, '')) }
    },
    clock: 0,
  }
  return state
}

const SERVICE = 'foo/web.foo.svc.cluster.local'

t.test('a wildcard client gets everything, then differences, and an empty answer is an answer', async (t) => {
  const s = setup(workload('a'), workload('b'))
  s.send({ node: NODE, typeUrl: ADDRESS_TYPE })
  s.send({ typeUrl: AUTHORIZATION_TYPE })
  t.match(s.next(), { type: AUTHORIZATION_TYPE, names: [], nonce: '1' })
  t.match(s.next(), { names: [SERVICE, 'a', 'b'], removed: [], nonce: '2' })
  t.equal(s.next(), undefined)
  s.send({ typeUrl: ADDRESS_TYPE, responseNonce: '2' })
  s.put(workload('a'), workload('b', { node: 'moved' }), workload('c'))
  t.match(s.next(), { names: ['b', 'c'], removed: [] })
  s.send({ typeUrl: ADDRESS_TYPE, responseNonce: '3' })
  s.put(workload('c'))
  t.match(s.next(), { names: [], removed: ['a', 'b'] })
  s.send({ typeUrl: ADDRESS_TYPE, responseNonce: '4' })
  s.put(workload('c'))
  t.equal(s.next(), undefined, 'the same again is no news')
})

t.test('a client that comes back gets only what differs from what it holds', async (t) => {
  const s = setup(workload('a'), workload('b'))
  const versions = Object.fromEntries(
    [...(s.cache.table(ADDRESS_TYPE)?.resources.values() ?? [])].map(({ name, version }) => [name, version]),
  )
  s.send({
    node: NODE,
    typeUrl: ADDRESS_TYPE,
    initialResourceVersions: { ...versions, [`${UID}b`]: 'older', [`${UID}gone`]: 'x' },
  })
  s.send({ typeUrl: AUTHORIZATION_TYPE })
  t.match(s.next(), { type: AUTHORIZATION_TYPE })
  t.match(s.next(), { names: ['b'], removed: ['gone'] })
})

t.test('a slow client gets many changes in one response', async (t) => {
  const s = setup(workload('a'))
  s.send({ node: NODE, typeUrl: ADDRESS_TYPE })
  t.match(s.next(), { nonce: '1' })
  for (let i = 0; i < 50; i++) s.put(workload('a', { node: `n${i}` }), workload(`extra${i}`))
  t.equal(s.next(), undefined, 'nothing more until it has acknowledged')
  s.send({ typeUrl: ADDRESS_TYPE, responseNonce: '1' })
  t.match(s.next(), { names: ['a', 'extra49'], removed: [], nonce: '2' })
  t.equal(s.next(), undefined)
  s.put(workload('a'))
  t.equal(s.next(), undefined)
  t.equal(s.session.nextLookMs(), 1000)
  s.clock = 1001
  t.match(
    s.next(),
    { names: ['a'], removed: ['extra49'] },
    'a client that never acknowledges is not left behind',
  )
})

t.test('a stale nonce is ignored, a NACK is kept for the operator and resends nothing', async (t) => {
  const s = setup(workload('a'))
  s.send({ node: NODE, typeUrl: ADDRESS_TYPE })
  s.next()
  s.send({ typeUrl: ADDRESS_TYPE, responseNonce: 'old', errorDetail: { message: 'stale' } })
  t.match(s.session.status(), [{ nacks: 0, awaitingAck: true }])
  s.clock = 7
  s.send({ typeUrl: ADDRESS_TYPE, responseNonce: '1', errorDetail: { message: 'a: bad' } })
  t.match(s.session.status(), [
    { nacks: 1, acks: 0, awaitingAck: false, lastNack: { at: 7, reason: 'a: bad' } },
  ])
  t.equal(s.next(), undefined)
  s.put(workload('b'))
  t.match(s.next(), { names: ['b'], removed: ['a'] }, 'it goes on after a NACK')
})

t.test('an on-demand client gets what it asks for, by any of its names', async (t) => {
  const services = new Map([
    [SERVICE, [{ servicePort: 80, targetPort: 80, appProtocol: 'TCP' as const }]],
  ]) as never
  const s = setup(
    workload('a', { services, addresses: ['10.0.0.1'] }),
    workload('b', { addresses: ['10.0.0.2'] }),
  )
  s.send({
    node: NODE,
    typeUrl: ADDRESS_TYPE,
    resourceNamesSubscribe: ['*'],
    resourceNamesUnsubscribe: ['*'],
  })
  t.match(s.next(), { names: [], removed: [] }, 'first an empty answer')
  s.send({ typeUrl: ADDRESS_TYPE, resourceNamesSubscribe: ['/10.0.0.2'] })
  const first = s.session.next()
  t.match(first, { resources: [{ name: `${UID}b`, aliases: ['/10.0.0.2'] }] })
  s.send({ typeUrl: ADDRESS_TYPE, resourceNamesSubscribe: [SERVICE, '/10.9.9.9'] })
  t.match(s.next(), { names: [SERVICE, 'a'], removed: ['/10.9.9.9'] }, 'a service brings its workloads')
  s.send({ typeUrl: ADDRESS_TYPE, responseNonce: '3' })
  s.put(workload('a', { services, node: 'moved' }), workload('c', { addresses: ['10.9.9.9'] }), workload('d'))
  t.match(s.next(), { names: ['a', 'c'], removed: ['b'] }, 'only changes to what it asked for')
  s.send({ typeUrl: ADDRESS_TYPE, responseNonce: '4' })
  s.send({ typeUrl: ADDRESS_TYPE, resourceNamesUnsubscribe: ['/10.9.9.9'] })
  t.equal(s.next(), undefined, 'unsubscribing is not answered')
  s.put(workload('a', { services, node: 'moved' }), workload('c', { addresses: ['10.9.9.9'], node: 'x' }))
  t.equal(s.next(), undefined)
})

t.test('an on-demand client that comes back keeps its subscriptions', async (t) => {
  const s = setup(workload('a'), workload('b'))
  const version = s.cache.table(ADDRESS_TYPE)?.resources.get(`${UID}a`)?.version ?? ''
  s.send({
    node: NODE,
    typeUrl: ADDRESS_TYPE,
    resourceNamesSubscribe: ['*'],
    resourceNamesUnsubscribe: ['*'],
    initialResourceVersions: { [`${UID}a`]: version, [`${UID}gone`]: 'x', '/10.9.9.9': '' },
  })
  s.send({ typeUrl: AUTHORIZATION_TYPE })
  t.match(s.next(), { type: AUTHORIZATION_TYPE })
  t.match(s.next(), { names: [], removed: ['gone', '/10.9.9.9'], nonce: '2' })
  s.send({ typeUrl: ADDRESS_TYPE, responseNonce: '2' })
  s.put(workload('a', { node: 'moved' }), workload('b', { node: 'moved' }))
  t.match(s.next(), { names: ['a'] })
})

t.test('policies are always sent in full', async (t) => {
  const s = setup()
  s.cache.replace(meshResources({ workloads: [], services: [], policies: [policy('p')] }))
  s.send({
    node: NODE,
    typeUrl: AUTHORIZATION_TYPE,
    resourceNamesSubscribe: ['*'],
    resourceNamesUnsubscribe: ['*'],
  })
  t.match(s.next(), { names: ['foo/p'] })
})

t.test('a client that breaks the rules of nodes is refused', async (t) => {
  const refused = (node: MessageInitShape<typeof DeltaDiscoveryRequestSchema>['node'], message: RegExp) =>
    t.throws(() => setup().send({ ...(node === undefined ? {} : { node }), typeUrl: ADDRESS_TYPE }), {
      message,
    })
  refused(undefined, /missing node information/)
  refused({ id: 'a~b' }, /must be <type>~<ip>/)
  refused({ id: 'toaster~10.0.0.1~a.b~b.svc.x' }, /node type "toaster"/)
  refused({ id: 'ztunnel~~a.b~b.svc.x' }, /no valid IP address/)
  refused({ id: 'ztunnel~10.0.0.1~a.other~other.svc.x' }, /namespace is "other" in the node/)
  refused({ ...NODE, metadata: { NODE_NAME: 'elsewhere' } }, /node is "elsewhere" in the node/)
  const s = setup()
  s.send({
    node: { id: 'ztunnel~~a.~.svc.x', metadata: { INSTANCE_IPS: '10.0.0.1' } },
    typeUrl: ADDRESS_TYPE,
  })
  s.send({ typeUrl: 'type.googleapis.com/unknown' })
  t.match(s.next(), { type: ADDRESS_TYPE })
  t.equal(s.next(), undefined, 'a type that is not served is not answered')
})

t.test('a client cannot fill the log or the memory with what it says of itself', async (t) => {
  const s = setup(workload('a'))
  warnings.length = 0
  t.throws(() => s.send({ node: { id: `ztunnel~10.0.0.9~${'z'.repeat(5000)}~x` }, typeUrl: ADDRESS_TYPE }), {
    message: /node id of 50\d\d characters/,
  })
  s.send({ node: NODE, typeUrl: ADDRESS_TYPE })
  const nonce = s.next()?.nonce ?? ''
  for (let count = 0; count < 100; count++) {
    s.send({ typeUrl: ADDRESS_TYPE, responseNonce: nonce, errorDetail: { message: 'no' } })
    s.send({ typeUrl: `unknown ${count} ${'x'.repeat(10_000)}` })
  }
  t.equal(warnings.filter((line) => line.includes('"reason":"no"')).length, 1)
  t.ok(warnings.length < 20, `${warnings.length} lines`)
  t.ok(
    warnings.every((line) => line.length < 1000),
    'each of them short',
  )
})

t.test('a first request with too many names is refused, not served in part', async (t) => {
  const s = setup(workload('a'))
  const names = Array.from({ length: 100_001 }, (_, index) => `name-${index}`)
  t.throws(() => s.send({ node: NODE, typeUrl: ADDRESS_TYPE, resourceNamesSubscribe: names }), {
    message: /more than 100000 names/,
  })
  const held = Object.fromEntries(names.map((name) => [name, '1']))
  const nothing = { resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] }
  t.throws(() => s.send({ node: NODE, typeUrl: ADDRESS_TYPE, ...nothing, initialResourceVersions: held }), {
    message: /more than 100000 names/,
  })
})
