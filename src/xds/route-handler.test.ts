// Routes as a waypoint's client takes them, and the order in which they are sent.
import { create } from '@bufbuild/protobuf'
import t from 'tap'
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  NodeSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import { RouteTable } from '../mesh/http/route-table.ts'
import { anHttpRoute, aTcpRoute } from '../mesh/http/route-test-support.ts'
import { DeltaSession } from './delta-session.ts'
import { encodeRoute } from './encode-route.ts'
import { silentLog } from './log.ts'
import { meshResources } from './mesh-resources.ts'
import { ResourceCache } from './resource-cache.ts'
import { RouteHandler } from './route-handler.ts'
import { hex, service } from './test-support.ts'
import { TypeState } from './type-state.ts'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, ROUTE_TYPE, WAYPOINT_POLICY_TYPE } from './type-urls.ts'

t.test('a refused route leaves the one before it in force, and the others come in', async (t) => {
  let table = RouteTable.EMPTY
  const apply = (changes: Parameters<RouteTable['with']>[0]) => {
    table = table.with(changes)
  }
  const state = new TypeState(new RouteHandler({ apply }))
  const first = await state.receive(
    response([['HTTPRoute/default/a', encodeRoute(anHttpRoute({ name: 'a' }))]]),
  )
  t.equal(first.errorDetail, undefined)
  const before = table
  const answer = await state.receive(
    response([
      ['HTTPRoute/default/a', hex('00')],
      ['HTTPRoute/default/b', encodeRoute(anHttpRoute({ name: 'other' }))],
      ['TCPRoute/default/c', encodeRoute(aTcpRoute({ name: 'c' }))],
    ]),
  )
  t.match(
    answer.errorDetail?.message,
    /HTTPRoute\/default\/a: failed to decode: .*; HTTPRoute\/default\/b: the resource is HTTPRoute\/default\/other$/,
  )
  t.strictSame(
    [...table.routes].map(({ name }) => name),
    ['a', 'c'],
  )
  t.strictSame(
    [...before.routes].map(({ name }) => name),
    ['a'],
    'whoever began with a table keeps it',
  )
  await state.receive(response([], ['HTTPRoute/default/a']))
  t.strictSame(
    [...table.routes].map(({ name }) => name),
    ['c'],
  )
})

t.test(
  'policies come first, then what routes lead to, then routes; whatever order was asked in',
  async (t) => {
    const cache = new ResourceCache()
    cache.replace(
      meshResources({ workloads: [], services: [service('a')], policies: [], routes: [anHttpRoute()] }),
    )
    const caller = { id: { trustDomain: 'cluster.local', namespace: 'foo', serviceAccount: 'waypoint' } }
    const session = new DeltaSession({ cache, caller, log: silentLog, now: () => 0, ackPatienceMs: 30_000 })
    const node = create(NodeSchema, { id: 'waypoint~10.0.0.9~w.foo~foo.svc.cluster.local' })
    const types = [ROUTE_TYPE, ADDRESS_TYPE, WAYPOINT_POLICY_TYPE, AUTHORIZATION_TYPE]
    for (const typeUrl of types) session.receive(create(DeltaDiscoveryRequestSchema, { node, typeUrl }))
    const sent: string[] = []
    for (let next = session.next(); next !== undefined; next = session.next()) sent.push(next.typeUrl)
    t.strictSame(sent, [AUTHORIZATION_TYPE, WAYPOINT_POLICY_TYPE, ADDRESS_TYPE, ROUTE_TYPE])
  },
)

t.test('a waypoint that comes back is sent nothing until it has asked for its policies', async (t) => {
  const cache = new ResourceCache()
  cache.replace(meshResources({ workloads: [], services: [service('a')], policies: [] }))
  let clock = 0
  const caller = { id: { trustDomain: 'cluster.local', namespace: 'foo', serviceAccount: 'waypoint' } }
  const session = new DeltaSession({ cache, caller, log: silentLog, now: () => clock, ackPatienceMs: 30_000 })
  const node = create(NodeSchema, { id: 'waypoint~10.0.0.9~w.foo~foo.svc.cluster.local' })
  const ask = (typeUrl: string, initialResourceVersions = {}) =>
    session.receive(create(DeltaDiscoveryRequestSchema, { node, typeUrl, initialResourceVersions }))
  ask(ADDRESS_TYPE, { 'foo/b': '1' })
  ask(ROUTE_TYPE)
  t.equal(session.next(), undefined)
  t.equal(session.nextLookMs(), 1_000)
  ask(WAYPOINT_POLICY_TYPE)
  t.equal(session.next()?.typeUrl, WAYPOINT_POLICY_TYPE)
  clock = 1
  t.equal(session.next()?.typeUrl, ADDRESS_TYPE)
})

function response(routes: readonly (readonly [string, Uint8Array])[], removedResources: string[] = []) {
  return create(DeltaDiscoveryResponseSchema, {
    typeUrl: ROUTE_TYPE,
    nonce: '1',
    removedResources,
    resources: routes.map(([name, value]) => ({
      name,
      version: '1',
      resource: { typeUrl: ROUTE_TYPE, value },
    })),
  })
}
