// Routes over the wire: what is written is what is read, and what cannot be
// used is refused with a reason.
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { type HttpFilterSchema, type HttpMatchSchema, RouteSchema } from '../gen/ztunnel/waypoint/route_pb.ts'
import type {
  BackendTarget,
  HttpFilter,
  HttpRoute,
  HttpRouteMatch,
  Route,
  RouteParent,
  TcpRoute,
} from '../mesh/http/route-model.ts'
import { decodeRoute } from './decode-route.ts'
import { encodeRoute } from './encode-route.ts'
import { XdsError } from './errors.ts'
import { hex } from './test-support.ts'

/** Objects as code writes them, rather than without a prototype. */
function plain<T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(fields, { noNullPrototype: true })
}

const named = fc.stringMatching(/^[a-z0-9-]{1,8}$/)
const text = fc.string({ maxLength: 8 })
const port = fc.integer({ min: 1, max: 65_535 })
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
const service = fc.tuple(named, named).map(([namespace, host]) => `${namespace}/${host}` as const)
const path = fc.stringMatching(/^\/[a-z/]{0,8}$/)

const target: fc.Arbitrary<BackendTarget> = fc.oneof(
  plain({ kind: fc.constant('service' as const), service, port }),
  plain({ kind: fc.constant('invalid' as const), reason: text }),
)
const value = plain({ kind: fc.constantFrom('exact' as const, 'regex' as const), name: named, value: named })
const field = plain({ name: named, value: named })
const modifier = plain({ set: fc.array(field), add: fc.array(field), remove: fc.array(named) })
const pathChange = maybe(plain({ kind: fc.constantFrom('full' as const, 'prefix' as const), value: path }))
const filter: fc.Arbitrary<HttpFilter> = fc.oneof(
  plain({
    kind: fc.constantFrom('RequestHeaderModifier' as const, 'ResponseHeaderModifier' as const),
    modifier,
  }),
  plain({
    kind: fc.constant('RequestRedirect' as const),
    scheme: fc.constantFrom(undefined, 'http' as const, 'https' as const),
    hostname: maybe(named),
    path: pathChange,
    port: maybe(port),
    statusCode: fc.constantFrom(301, 302, 303, 307, 308),
  }),
  plain({ kind: fc.constant('URLRewrite' as const), hostname: maybe(named), path: pathChange }),
  plain({
    kind: fc.constant('RequestMirror' as const),
    backend: target,
    numerator: fc.nat({ max: 100 }),
    denominator: fc.constant(100),
  }),
  plain({ kind: fc.constant('Unsupported' as const), reason: text }),
)
const match: fc.Arbitrary<HttpRouteMatch> = plain({
  path: fc.oneof(
    plain({ kind: fc.constantFrom('exact' as const, 'prefix' as const), value: path }),
    plain({ kind: fc.constant('regex' as const), value: named }),
  ),
  headers: fc.array(value, { maxLength: 2 }),
  query: fc.array(value, { maxLength: 2 }),
  method: maybe(fc.constantFrom('GET', 'POST')),
})
const grpcMatch = fc
  .tuple(match, plain({ service: fc.nat({ max: 99 }), method: fc.nat({ max: 99 }) }))
  .map(([match, grpc]): HttpRouteMatch => ({ ...match, grpc }))
const weight = fc.nat({ max: 1_000_000 })
const duration = maybe(fc.integer({ min: 1, max: 3_600_000 }))
const rulesOf = (of: fc.Arbitrary<HttpRouteMatch>) =>
  fc.array(
    plain({
      name: maybe(named),
      matches: fc.array(of, { minLength: 1, maxLength: 2 }),
      filters: fc.array(filter, { maxLength: 2 }),
      backends: fc.array(plain({ target, weight, filters: fc.array(filter, { maxLength: 1 }) }), {
        maxLength: 2,
      }),
      timeouts: plain({ requestMs: duration, backendRequestMs: duration }),
      retry: maybe(
        plain({
          codes: fc.array(fc.integer({ min: 400, max: 599 }), { maxLength: 2 }),
          attempts: fc.nat({ max: 9 }),
          backoffMs: duration,
        }),
      ),
    }),
    { maxLength: 2 },
  )
const parents: fc.Arbitrary<readonly RouteParent[]> = fc.array(
  fc.oneof(
    plain({ kind: fc.constant('service' as const), service, port: maybe(port) }),
    plain({ kind: fc.constant('gateway' as const), namespace: named, name: named, port: maybe(port) }),
  ),
  { maxLength: 2 },
)
const base = { name: named, namespace: named, creationTimestamp: text, parents }
const httpRoute = (kind: HttpRoute['kind']): fc.Arbitrary<HttpRoute> =>
  plain({
    kind: fc.constant(kind),
    ...base,
    hostnames: fc.array(named, { maxLength: 2 }),
    rules: rulesOf(kind === 'GRPCRoute' ? grpcMatch : match),
  })
const tcpRoute: fc.Arbitrary<TcpRoute> = plain({
  kind: fc.constant('TCPRoute' as const),
  ...base,
  rules: fc.array(
    plain({ name: maybe(named), backends: fc.array(plain({ target, weight }), { maxLength: 2 }) }),
  ),
})
const routes: fc.Arbitrary<Route> = fc.oneof(httpRoute('HTTPRoute'), httpRoute('GRPCRoute'), tcpRoute)

t.test('a route is read as it was written', async (t) => {
  fc.assert(
    fc.property(routes, (route) => t.same(decodeRoute(encodeRoute(route)), route)),
    { numRuns: 200 },
  )
})

t.test('any bytes give a route or a reason', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        decodeRoute(bytes)
      } catch (error) {
        if (!(error instanceof XdsError) || error.code !== 'invalid-resource') throw error
      }
    }),
  )
})

t.test('what a waypoint must not follow is refused', async (t) => {
  const header = (name: string, value: string): MessageInitShape<typeof HttpFilterSchema> => ({
    filter: { case: 'requestHeaders', value: { set: [{ name, value }] } },
  })
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [hex(''), /no name or namespace/],
    [toBinary(RouteSchema, create(RouteSchema, { name: 'a', namespace: 'b' })), /unknown kind of route/],
    [withMatch({}), /has no path/],
    [withMatch({ path: { match: { case: 'exact', value: 'a' } } }), /does not begin with/],
    [withMatch({ path: { match: { case: 'regex', value: '(' } } }), /no RE2 regular expression/],
    [withFilter({}), /unknown kind of filter/],
    [withFilter(header('transfer-encoding', 'chunked')), /not a route's to change/],
    [withFilter(header('x', 'a\r\nb: c')), /header "x" or its value is none/],
    [withFilter(header('x y', '1')), /header "x y" or its value is none/],
    [withFilter({ filter: { case: 'redirect', value: { statusCode: 200 } } }), /status 200 is no redirect/],
    [withFilter({ filter: { case: 'rewrite', value: { hostname: 'a\r\nb' } } }), /is no hostname/],
    [withFilter({ filter: { case: 'mirror', value: {} } }), /denominator 0/],
  ]
  for (const [bytes, message] of cases) {
    t.throws(() => decodeRoute(bytes), { code: 'invalid-resource', message }, String(message))
  }
})

function withMatch(match: MessageInitShape<typeof HttpMatchSchema>): Uint8Array {
  const route = { case: 'http' as const, value: { rules: [{ matches: [match] }] } }
  return toBinary(RouteSchema, create(RouteSchema, { name: 'a', namespace: 'b', route }))
}

function withFilter(filter: MessageInitShape<typeof HttpFilterSchema>): Uint8Array {
  const matches = [{ path: { match: { case: 'prefix' as const, value: '/' } } }]
  const route = { case: 'http' as const, value: { rules: [{ matches, filters: [filter] }] } }
  return toBinary(RouteSchema, create(RouteSchema, { name: 'a', namespace: 'b', route }))
}
