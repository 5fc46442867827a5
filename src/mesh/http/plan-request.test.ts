import t from 'tap'
import { filterResponse } from './filters.ts'
import { type HttpRoutes, RouteMatcher } from './match-route.ts'
import { planConnection } from './plan-connection.ts'
import { planRequest } from './plan-request.ts'
import type { HttpBackend, HttpFilter, HttpRoute } from './route-model.ts'
import { RouteTable } from './route-table.ts'
import { aBackend, anHttpMatch, anHttpRoute, aRequest, aRule, aTcpRoute, ECHO } from './route-test-support.ts'

const GONE = { kind: 'invalid', reason: 'there is no Service default/gone' } as const
const header = (name: string): HttpFilter => ({
  kind: 'ResponseHeaderModifier',
  modifier: { set: [{ name, value: '1' }], add: [], remove: [] },
})

t.test('backends are chosen by weight, an invalid one for its share', async (t) => {
  const backends = [
    aBackend('a', { weight: 3 }),
    aBackend('none', { weight: 0 }),
    aBackend('x', { target: GONE }),
  ]
  const chosen = (random: number) => plan(backends, random)
  t.match(chosen(0), { kind: 'forward', target: { service: 'default/a.default.svc.cluster.local' } })
  t.match(chosen(0.74), { kind: 'forward', target: { service: 'default/a.default.svc.cluster.local' } })
  t.match(chosen(0.75), { kind: 'respond', status: 500 })
  t.equal(chosen(0.75).steps.at(-1)?.detail, `${GONE.reason}, weight 1 of 3 backends: 500`)
})

t.test('without any backend of weight, 500', async (t) => {
  t.match(plan([], 0), { kind: 'respond', status: 500 })
  t.match(plan([aBackend('a', { weight: 0 })], 0), { kind: 'respond', status: 500 })
})

t.test("a backend's own filters come after the rule's", async (t) => {
  const set = (value: string): HttpFilter => ({
    kind: 'RequestHeaderModifier',
    modifier: { set: [{ name: 'x', value }], add: [], remove: [] },
  })
  const route = anHttpRoute({
    rules: [
      aRule({
        filters: [set('rule'), header('rule')],
        backends: [aBackend('a', { filters: [set('backend'), header('backend')] })],
        timeouts: { requestMs: 100, backendRequestMs: 50 },
        retry: { codes: [503], attempts: 2, backoffMs: undefined },
      }),
    ],
  })
  const found = planned(route, 0)
  t.strictSame(filterResponse(found.responseFilters, []), ['rule', '1', 'backend', '1'])
  t.match(found, {
    kind: 'forward',
    head: { headers: ['x', 'backend'] },
    timeouts: { requestMs: 100, backendRequestMs: 50 },
    retry: { codes: [503], attempts: 2 },
  })
})

t.test('a call without a backend is answered by what is UNAVAILABLE to gRPC', async (t) => {
  const rules = [aRule({ matches: [anHttpMatch({ path: { kind: 'exact', value: '/s/m' } })], backends: [] })]
  const route = anHttpRoute({ kind: 'GRPCRoute', rules })
  t.match(planned(route, 0, '/s/other'), { kind: 'respond', status: 404 })
  t.match(planned(route, 0, '/s/m'), { kind: 'respond', status: 503 })
})

t.test('connections are split as requests are', async (t) => {
  const backends = [
    aBackend('a', { weight: 1 }),
    aBackend('b', { weight: 1 }),
    aBackend('x', { target: GONE, weight: 2 }),
  ]
  const table = RouteTable.EMPTY.with({
    upserts: [aTcpRoute({ rules: [{ name: undefined, backends }] })],
    removals: [],
  })
  const routes = table.lookup({ service: ECHO, port: 80, clientNamespace: undefined })
  if (routes?.kind !== 'TCPRoute') throw new Error('no TCP route')
  t.match(
    planConnection(routes, () => 0),
    { kind: 'forward', target: { service: /^default\/a\./ } },
  )
  t.match(
    planConnection(routes, () => 0.4),
    { kind: 'forward', target: { service: /^default\/b\./ } },
  )
  t.match(
    planConnection(routes, () => 0.5),
    { kind: 'refused', reason: GONE.reason },
  )
})

function plan(backends: readonly HttpBackend[], random: number) {
  return planned(anHttpRoute({ rules: [aRule({ backends })] }), random)
}

function planned(route: HttpRoute, random: number, path = '/') {
  return planRequest(new RouteMatcher(), routesOf(route), {
    head: aRequest({ path }),
    port: 80,
    random: () => random,
  })
}

function routesOf(route: HttpRoute): HttpRoutes {
  const table = RouteTable.EMPTY.with({ upserts: [route], removals: [] })
  const found = table.lookup({ service: ECHO, port: 80, clientNamespace: undefined })
  if (found === undefined || found.kind === 'TCPRoute') throw new Error('no HTTP route')
  return found
}
