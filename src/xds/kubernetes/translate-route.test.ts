// Routes as YAML has them, and what waypoints are told of them.
import t from 'tap'
import type { HttpRoute, Route } from '../../mesh/http/route-model.ts'
import { meshOf } from './test-support.ts'

const BASE = `
apiVersion: v1
kind: Namespace
metadata: {name: foo, labels: {istio.io/use-waypoint: waypoint}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: foo}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{value: 10.96.0.100}]}
${service('echo')}${service('echo-v1')}${service('echo-v2')}${service('theirs', 'bar')}${service('closed', 'bar')}`

t.test("requests to echo go to echo-v1, as in Istio's example", async (t) => {
  const { routes, warnings } = meshOf(BASE + route('{backendRefs: [{name: echo-v1, port: 80}]}'))
  t.strictSame(warnings, [])
  t.strictSame(routes, [
    {
      kind: 'HTTPRoute',
      name: 'route',
      namespace: 'foo',
      creationTimestamp: '',
      parents: [{ kind: 'service', service: 'foo/echo.foo.svc.cluster.local', port: undefined }],
      hostnames: [],
      rules: [
        {
          name: undefined,
          matches: [{ path: { kind: 'prefix', value: '/' }, headers: [], query: [], method: undefined }],
          filters: [],
          backends: [
            {
              target: { kind: 'service', service: 'foo/echo-v1.foo.svc.cluster.local', port: 80 },
              weight: 1,
              filters: [],
            },
          ],
          timeouts: { requestMs: undefined, backendRequestMs: undefined },
          retry: undefined,
        },
      ],
    },
  ])
})

t.test('everything that a rule can say', async (t) => {
  const rule = `
    name: all
    matches:
    - path: {type: Exact, value: /a}
      method: GET
      headers: [{name: X-A, value: "1"}, {name: x-a, value: "2"}, {name: x-b, type: RegularExpression, value: "v[0-9]"}]
      queryParams: [{name: q, value: "1"}]
    - path: {type: RegularExpression, value: "/v[0-9]+"}
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: X-Set, value: a}], add: [{name: X-Add, value: b}], remove: [X-Remove]}
    - {type: RequestMirror, requestMirror: {backendRef: {name: echo-v2, port: 80}, percent: 20}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: echo-v2, port: 80}, fraction: {numerator: 1, denominator: 1000}}}
    backendRefs:
    - {name: echo-v1, port: 80, weight: 9}
    - name: echo-v2
      port: 80
      filters: [{type: URLRewrite, urlRewrite: {hostname: v2.example, path: {type: ReplaceFullPath, replaceFullPath: /x}}}]
    timeouts: {request: 1m30s, backendRequest: 500ms}
    retry: {codes: [500, 503], attempts: 3, backoff: 100ms}`
  const { routes, warnings } = meshOf(BASE + route(rule))
  t.strictSame(warnings, [])
  const mirror = {
    kind: 'RequestMirror',
    backend: { service: 'foo/echo-v2.foo.svc.cluster.local', port: 80 },
  }
  t.match(rulesOf(routes), [
    {
      name: 'all',
      matches: [
        {
          path: { kind: 'exact', value: '/a' },
          headers: [
            { kind: 'exact', name: 'x-a', value: '1' },
            { kind: 'regex', name: 'x-b', value: 'v[0-9]' },
          ],
          query: [{ kind: 'exact', name: 'q', value: '1' }],
          method: 'GET',
        },
        { path: { kind: 'regex', value: '/v[0-9]+' } },
      ],
      filters: [
        {
          modifier: { set: [{ name: 'x-set', value: 'a' }], add: [{ name: 'x-add' }], remove: ['x-remove'] },
        },
        { ...mirror, numerator: 20, denominator: 100 },
        { ...mirror, numerator: 1, denominator: 1000 },
      ],
      backends: [
        { weight: 9 },
        { weight: 1, filters: [{ hostname: 'v2.example', path: { kind: 'full', value: '/x' } }] },
      ],
      timeouts: { requestMs: 90_000, backendRequestMs: 500 },
      retry: { codes: [500, 503], attempts: 3, backoffMs: 100 },
    },
  ])
})

t.test('a redirect, with what it leaves out', async (t) => {
  const redirect =
    '{scheme: https, path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}, statusCode: 301}'
  const { routes, warnings } = meshOf(
    BASE + route(`filters: [{type: RequestRedirect, requestRedirect: ${redirect}}]`),
  )
  t.strictSame(warnings, [])
  const [rule] = rulesOf(routes)
  t.strictSame(rule?.filters, [
    {
      kind: 'RequestRedirect',
      scheme: 'https',
      hostname: undefined,
      path: { kind: 'prefix', value: '/b' },
      port: undefined,
      statusCode: 301,
    },
  ])
})

t.test('a call of gRPC is the request that it is', async (t) => {
  const rules = `
    - matches:
      - method: {service: foo.Echo, method: Say}
      - method: {service: foo.Echo}
      - method: {method: Say}
      - method: {type: RegularExpression, service: "foo|bar", method: "S.*"}
      - headers: [{name: x, value: "1"}]
      backendRefs: [{name: echo-v1, port: 80}]
    - backendRefs: [{name: echo-v2, port: 80}]`
  const { routes } = meshOf(`${BASE}---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: route, namespace: foo}
spec:
    parentRefs: [{group: "", kind: Service, name: echo}]
    rules: ${rules}`)
  t.equal(routes[0]?.kind, 'GRPCRoute')
  t.strictSame(
    rulesOf(routes).flatMap(({ matches }) => matches.map(({ path, grpc }) => [path.value, path.kind, grpc])),
    [
      ['/foo.Echo/Say', 'exact', { service: 8, method: 3 }],
      ['/foo.Echo', 'prefix', { service: 8, method: 0 }],
      ['/[^/]+/Say', 'regex', { service: 0, method: 3 }],
      ['/(?:foo|bar)/(?:S.*)', 'regex', { service: 7, method: 3 }],
      ['/', 'prefix', { service: 0, method: 0 }],
      ['/', 'prefix', { service: 0, method: 0 }],
    ],
  )
})

t.test('TCPRoute, in both of its versions', async (t) => {
  for (const version of ['v1', 'v1alpha2']) {
    const { routes, warnings } = meshOf(`${BASE}---
apiVersion: gateway.networking.k8s.io/${version}
kind: TCPRoute
metadata: {name: route, namespace: foo}
spec:
    parentRefs: [{group: "", kind: Service, name: echo, sectionName: tcp-b}]
    rules:
    - backendRefs: [{name: echo-v1, port: 80, weight: 3}, {name: gone, port: 80}]
    - backendRefs: [{name: echo-v2, port: 80}]`)
    t.match(routes, [
      {
        kind: 'TCPRoute',
        parents: [{ service: 'foo/echo.foo.svc.cluster.local', port: 81 }],
        rules: [{ backends: [{ weight: 3 }, { target: { kind: 'invalid' } }] }, {}],
      },
    ])
    t.strictSame(
      warnings.map(({ field, message }) => `${field}: ${message}`),
      [
        'spec.rules[1]: has no effect: nothing tells which connections it is for',
        'spec.rules[0].backendRefs[1]: there is no Service foo/gone: its requests fail',
      ],
    )
  }
})

t.test('backends that lead nowhere fail for their share, and say why', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['{name: gone, port: 80}', 'there is no Service foo/gone'],
    ['{name: echo-v1}', 'the backend Service foo/echo-v1 has no port: a Service needs one'],
    ['{name: echo-v1, port: 8080}', 'Service foo/echo-v1 has no TCP port 8080'],
    [
      '{group: multicluster.x-k8s.io, kind: ServiceImport, name: a, port: 80}',
      'ServiceImport of group "multicluster.x-k8s.io" cannot be referred to: expected Service of group ""',
    ],
  ]
  for (const [backend, reason] of cases) {
    const { routes, warnings } = meshOf(BASE + route(`backendRefs: [${backend}]`))
    t.strictSame(rulesOf(routes)[0]?.backends[0]?.target, { kind: 'invalid', reason })
    t.match(warnings, [{ field: 'spec.rules[0].backendRefs[0]', message: `${reason}: its requests fail` }])
  }
})

t.test('what a route cannot be attached to is said, and the rest stays', async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      '{group: "", kind: Service, name: gone}',
      /there is no Service foo\/gone: the route has no effect there/,
    ],
    ['{kind: Service, name: echo}', /Service of group "gateway.networking.k8s.io" cannot be referred to/],
    ['{group: "", kind: Service, name: echo, port: 99}', /no such port, it has 80 \(http\), 81 \(tcp-b\)/],
    ['{group: "", kind: Service, name: echo, sectionName: x}', /no such port/],
    ['{name: ingress}', /there is no Gateway foo\/ingress of class istio-waypoint/],
    ['{name: waypoint, sectionName: other}', /has no such listener/],
    ['{name: waypoint, namespace: foo, port: 80}', /has no such listener/],
  ]
  for (const [parent, message] of cases) {
    const { routes, warnings } = meshOf(
      BASE + route(BACKEND, `[{group: "", kind: Service, name: echo}, ${parent}]`),
    )
    t.match(warnings, [{ field: 'spec.parentRefs[1]', message }], parent)
    t.equal(routes[0]?.parents.length, 1)
    t.strictSame(meshOf(BASE + route(BACKEND, `[${parent}]`)).routes, [], 'attached to nothing')
  }
  t.match(meshOf(BASE + route(BACKEND, '[]')).warnings, [{ field: 'spec.parentRefs', message: /^none/ }])
})

t.test('ports are chosen by number or by name; a waypoint and a ServiceEntry are parents too', async (t) => {
  const parents = (text: string, more = '') => meshOf(BASE + more + route(BACKEND, text)).routes[0]?.parents
  const echo = { kind: 'service', service: 'foo/echo.foo.svc.cluster.local' }
  t.strictSame(parents('[{group: "", kind: Service, name: echo, port: 80}]'), [{ ...echo, port: 80 }])
  t.strictSame(parents('[{group: "", kind: Service, name: echo, sectionName: tcp-b}]'), [
    { ...echo, port: 81 },
  ])
  t.strictSame(parents('[{name: waypoint, sectionName: mesh}]'), [
    { kind: 'gateway', namespace: 'foo', name: 'waypoint', port: undefined },
  ])
  const entry = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext, namespace: foo}
spec: {hosts: [one.example, two.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC}
`
  t.strictSame(parents('[{group: networking.istio.io, kind: ServiceEntry, name: ext}]', entry), [
    { kind: 'service', service: 'foo/one.example', port: undefined },
    { kind: 'service', service: 'foo/two.example', port: undefined },
  ])
  const hostname = '{group: networking.istio.io, kind: Hostname, name: two.example, port: 80}'
  t.match(rulesOf(meshOf(BASE + entry + route(`backendRefs: [${hostname}]`)).routes)[0]?.backends, [
    { target: { kind: 'service', service: 'foo/two.example', port: 80 } },
  ])
})

t.test('whose route may send into another namespace, and with whose consent', async (t) => {
  const theirs = 'backendRefs: [{name: closed, namespace: bar, port: 80}]'
  const producer = meshOf(BASE + route(theirs))
  t.match(
    rulesOf(producer.routes)[0]?.backends,
    [{ target: { kind: 'service' } }],
    'of the own Service: GEP-1426',
  )
  const parent = '[{group: "", kind: Service, name: theirs, namespace: bar}]'
  const own = meshOf(BASE + route('backendRefs: [{name: theirs, namespace: bar, port: 80}]', parent))
  t.match(rulesOf(own.routes)[0]?.backends, [{ target: { kind: 'service' } }], 'what it is attached to')
  const consumer = meshOf(BASE + route(theirs, parent))
  const reason = 'no ReferenceGrant in bar allows HTTPRoutes of namespace foo to refer to Service bar/closed'
  t.match(rulesOf(consumer.routes)[0]?.backends, [{ target: { kind: 'invalid', reason } }])
  const gateway = meshOf(BASE + route(theirs, '[{name: waypoint}]'))
  t.match(rulesOf(gateway.routes)[0]?.backends, [{ target: { kind: 'invalid', reason } }], 'of a waypoint')
  const cases: readonly (readonly [string, boolean])[] = [
    ['to: [{group: "", kind: Service}]', true],
    ['to: [{group: "", kind: Service, name: closed}]', true],
    ['to: [{group: "", kind: Service, name: theirs}]', false],
    ['to: [{group: "", kind: Secret}]', false],
  ]
  for (const [to, allowed] of cases) {
    const { routes } = meshOf(BASE + grant('bar', 'HTTPRoute', 'foo', to) + route(theirs, parent))
    t.equal(rulesOf(routes)[0]?.backends[0]?.target.kind, allowed ? 'service' : 'invalid', to)
  }
  const any = 'to: [{group: "", kind: Service}]'
  for (const other of [
    grant('foo', 'HTTPRoute', 'foo', any),
    grant('bar', 'GRPCRoute', 'foo', any),
    grant('bar', 'HTTPRoute', 'x', any),
  ]) {
    t.equal(
      rulesOf(meshOf(BASE + other + route(theirs, parent)).routes)[0]?.backends[0]?.target.kind,
      'invalid',
    )
  }
})

t.test("a backend is spoken to as its Service's port says", async (t) => {
  const cases = { 'kubernetes.io/h2c': 'HTTP2', 'kubernetes.io/ws': 'HTTP11', grpc: 'GRPC', tcp: 'TCP' }
  for (const [appProtocol, expected] of Object.entries(cases)) {
    const text = BASE.replace('{name: http, port: 80}', `{name: x, port: 80, appProtocol: ${appProtocol}}`)
    const echo = meshOf(text).services.find(({ name }) => name === 'echo')
    t.equal(echo?.ports[0]?.appProtocol, expected, appProtocol)
  }
})

t.test('an expression that a prefix comes before is told of', async (t) => {
  const regex = 'matches: [{path: {type: RegularExpression, value: "/v[0-9]+"}}]'
  const rules = (prefix: string) => `${regex}\n    ${BACKEND}\n  - matches: [${prefix}]\n    ${BACKEND}`
  t.match(meshOf(BASE + route(rules('{path: {value: /}}'))).warnings, [
    { field: 'spec.rules[0].matches[0].path', message: /^never reached: spec.rules\[1\] takes every path/ },
  ])
  t.strictSame(meshOf(BASE + route(rules('{path: {value: /}, method: GET}'))).warnings, [])
})

t.test('what is not supported is said where it stands', async (t) => {
  const rule = `filters: [{type: CORS, cors: {allowOrigins: ["*"]}}]
    sessionPersistence: {sessionName: a}
    backendRefs: [{name: echo-v1, port: 80}]`
  const { routes, warnings } = meshOf(BASE + route(rule, undefined, 'hostnames: [Example.org]'))
  t.match(rulesOf(routes)[0]?.filters, [{ kind: 'Unsupported' }], 'and requests fail: it is not left out')
  t.strictSame(
    warnings.map(({ field, message }) => `${field}: ${message}`),
    [
      'spec.hostnames: ignored for a Service (GEP-1426): match the header host instead',
      'spec.rules[0].sessionPersistence: not supported here: requests go to any endpoint',
      'spec.rules[0].filters[0]: the filter CORS is not supported here: requests are answered by 500',
    ],
  )
  const without = meshOf(
    BASE.replace('labels: {istio.io/use-waypoint: waypoint}', 'labels: {}') + route(BACKEND),
  )
  t.match(without.warnings, [{ message: 'Service foo/echo has no waypoint: nobody follows the route' }])
})

const BACKEND = 'backendRefs: [{name: echo-v1, port: 80}]'

function service(name: string, namespace = 'foo'): string {
  return `---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  clusterIP: 10.96.0.1
  selector: {app: ${name}}
  ports: [{name: http, port: 80}, {name: tcp-b, port: 81}]
`
}

/** YAML of an HTTPRoute `foo/route` with one rule, of the Service `echo`. */
function route(rule: string, parents = '[{group: "", kind: Service, name: echo}]', spec = ''): string {
  const item = rule.startsWith('{') ? `- ${rule}` : `- ${rule.trim()}`
  return `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: foo}
spec:
  ${spec}
  parentRefs: ${parents}
  rules:
  ${item.replace(/^ {4}/gm, '    ')}
`
}

function grant(namespace: string, kind: string, from: string, to: string): string {
  return `---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: grant, namespace: ${namespace}}
spec:
  from: [{group: gateway.networking.k8s.io, kind: ${kind}, namespace: ${from}}]
  ${to}
`
}

function rulesOf(routes: readonly Route[]): HttpRoute['rules'] {
  return routes.flatMap((route) => (route.kind === 'TCPRoute' ? [] : route.rules))
}
