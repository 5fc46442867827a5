// Which of several routes a request takes: the order that the Gateway API asks
// for, held against a comparison that follows its text word by word.
import fc from 'fast-check'
import t from 'tap'
import { type HttpRoutes, RouteMatcher } from './match-route.ts'
import { splitPath } from './request.ts'
import type { HttpRoute, HttpRouteMatch } from './route-model.ts'
import { RouteTable } from './route-table.ts'
import { anHttpMatch, anHttpRoute, aRequest, aRule, ECHO } from './route-test-support.ts'

const matcher = new RouteMatcher()

t.test('a path matches as the Gateway API has it', async (t) => {
  const cases: readonly (readonly [HttpRouteMatch['path'], string, boolean])[] = [
    [{ kind: 'exact', value: '/abc' }, '/abc', true],
    [{ kind: 'exact', value: '/abc' }, '/abc?q=1', true],
    [{ kind: 'exact', value: '/abc' }, '/abc/', false],
    [{ kind: 'exact', value: '/abc' }, '/Abc', false],
    [{ kind: 'exact', value: '/abc' }, '/abcd', false],
    [{ kind: 'prefix', value: '/abc' }, '/abc', true],
    [{ kind: 'prefix', value: '/abc' }, '/abc/', true],
    [{ kind: 'prefix', value: '/abc/' }, '/abc', true],
    [{ kind: 'prefix', value: '/abc' }, '/abc/def?x', true],
    [{ kind: 'prefix', value: '/abc' }, '/abcd', false],
    [{ kind: 'prefix', value: '/' }, '/anything', true],
    [{ kind: 'prefix', value: '/' }, '*', false],
    [{ kind: 'regex', value: '/v[0-9]+/.*' }, '/v12/items', true],
    [{ kind: 'regex', value: '/v[0-9]+' }, '/v12/items', false],
    [{ kind: 'regex', value: 'v' }, '/v', false],
  ]
  for (const [path, target, expected] of cases) {
    t.equal(matches({ path }, { path: target }), expected, `${path.kind} ${path.value} of ${target}`)
  }
})

t.test('headers, query and method', async (t) => {
  const header = (value: string, kind: 'exact' | 'regex' = 'exact') => ({
    headers: [{ kind, name: 'x-v', value }],
  })
  t.ok(matches(header('a'), { headers: ['other', 'b', 'x-v', 'a'] }))
  t.notOk(matches(header('a'), { headers: ['x-v', 'A'] }), 'case counts in a value')
  t.notOk(matches(header('a'), { headers: [] }))
  t.ok(matches(header('a,b'), { headers: ['x-v', 'a', 'x-v', 'b'] }), 'repeated: as if joined by commas')
  t.notOk(matches(header('a'), { headers: ['x-v', 'a', 'x-v', 'b'] }))
  t.ok(matches(header('v[12]', 'regex'), { headers: ['x-v', 'v2'] }))
  t.notOk(matches(header('v[12]', 'regex'), { headers: ['x-v', 'v23'] }), 'all of the value')
  t.notOk(matches(header('.*', 'regex'), { headers: [] }), 'none is not an empty one')
  const host = { headers: [{ kind: 'exact', name: 'host', value: 'echo:80' }] } as const
  t.ok(matches(host, { authority: 'echo:80' }), 'the host, as GEP-1426 recommends it')
  const query = (value: string, kind: 'exact' | 'regex' = 'exact') => ({
    query: [{ kind, name: 'q', value }],
  })
  t.ok(matches(query('1'), { path: '/?a=2&q=1' }))
  t.ok(matches(query('1'), { path: '/?q=1&q=2' }), 'the first of several')
  t.notOk(matches(query('2'), { path: '/?q=1&q=2' }))
  t.ok(matches(query('a b'), { path: '/?q=a%20b' }), 'decoded')
  t.notOk(matches(query('1'), { path: '/?Q=1' }), 'case counts in a name')
  t.ok(matches(query('[0-9]+', 'regex'), { path: '/?q=123' }))
  t.notOk(matches(query('1'), { path: '/' }))
  t.ok(matches({ method: 'GET' }, { method: 'GET' }))
  t.notOk(matches({ method: 'GET' }, { method: 'get' }))
})

t.test('without a match, 404; and the steps say what was passed over', async (t) => {
  const path = { kind: 'exact', value: '/a' } as const
  const routes = routesOf([
    anHttpRoute({ rules: [aRule({ name: 'only', matches: [anHttpMatch({ path })] })] }),
  ])
  const found = matcher.match(routes, aRequest({ path: '/b' }), { trace: true })
  t.strictSame(found, {
    kind: 'unmatched',
    steps: [
      { step: 'route-lookup', detail: "1 HTTPRoute of the Service's namespace with 1 matches in all" },
      {
        step: 'route-mismatch',
        detail: 'HTTPRoute/default/route rule 0 (only), match 0: path exact /a: not path exact /a',
      },
      { step: 'route-match', detail: 'none matches the request: 404' },
    ],
  })
  t.equal(matcher.match(routes, aRequest({ path: '/a' })).steps.at(-1)?.step, 'route-match')
})

t.test('of a GRPCRoute, the longer service comes first, then the longer method', async (t) => {
  const call = (
    name: string,
    value: string,
    service: number,
    method: number,
    kind: 'exact' | 'prefix' | 'regex',
  ) => aRule({ name, matches: [anHttpMatch({ path: { kind, value }, grpc: { service, method } })] })
  const rules = [
    call('all', '/', 0, 0, 'prefix'),
    call('method', '/[^/]+/Say', 0, 3, 'regex'),
    call('service', '/foo.Echo', 8, 0, 'prefix'),
    call('both', '/foo.Echo/Say', 8, 3, 'exact'),
  ]
  const routes = routesOf([anHttpRoute({ kind: 'GRPCRoute', rules })])
  const ruleOf = (path: string) => {
    const found = matcher.match(routes, aRequest({ path, method: 'POST' }))
    return found.kind === 'matched' ? found.rule.name : undefined
  }
  t.equal(ruleOf('/foo.Echo/Say'), 'both')
  t.equal(ruleOf('/foo.Echo/Other'), 'service')
  t.equal(ruleOf('/bar.Echo/Say'), 'method')
  t.equal(ruleOf('/bar.Echo/Other'), 'all')
})

t.test('hostnames count for a waypoint, the more precise first, and not for a Service', async (t) => {
  const parents = [{ kind: 'gateway', namespace: 'ns', name: 'waypoint', port: undefined }] as const
  const of = (name: string, ...hostnames: string[]) => anHttpRoute({ name, hostnames, parents })
  const upserts = [
    of('any'),
    of('wild', '*.example.org'),
    of('wilder', '*.org'),
    of('exact', 'a.example.org'),
  ]
  const table = RouteTable.EMPTY.with({ upserts, removals: [] })
  const routes = table.lookup({ service: ECHO, port: 80, clientNamespace: undefined, gateway: 'ns/waypoint' })
  if (routes?.kind !== 'HTTPRoute') throw new Error('no HTTP route')
  const cases = {
    'A.example.org:80': 'exact',
    'b.c.example.org': 'wild',
    'example.org': 'wilder',
    echo: 'any',
  }
  for (const [authority, name] of Object.entries(cases)) {
    t.match(matcher.match(routes, aRequest({ authority })), { route: { name } }, authority)
  }
  const ofService = anHttpRoute({ hostnames: ['example.org'] })
  t.equal(matcher.match(routesOf([ofService]), aRequest({ authority: 'echo' })).kind, 'matched')
})

t.test('the request takes the route that the text of the Gateway API names', async () => {
  fc.assert(
    fc.property(fc.array(anyRoute(), { minLength: 1, maxLength: 4 }), anyRequest(), (some, head) => {
      const routes = some.map((route, index) => ({ ...route, name: `${route.name}${index}` }))
      const found = matcher.match(routesOf(routes), head)
      const expected = naively(routes, head)
      if (found.kind === 'unmatched') return expected === undefined
      const got = `${found.route.name} ${found.ruleIndex} ${JSON.stringify(found.match)}`
      return got === expected
    }),
    { numRuns: 1_000 },
  )
})

function matches(match: Partial<HttpRouteMatch>, head: Partial<Parameters<typeof aRequest>[0]>): boolean {
  const route = anHttpRoute({ rules: [aRule({ matches: [anHttpMatch(match)] })] })
  return matcher.match(routesOf([route]), aRequest(head)).kind === 'matched'
}

function routesOf(routes: readonly HttpRoute[]): HttpRoutes {
  const table = RouteTable.EMPTY.with({ upserts: routes, removals: [] })
  const found = table.lookup({ service: ECHO, port: 80, clientNamespace: undefined })
  if (found === undefined || found.kind === 'TCPRoute') throw new Error('no HTTP route')
  return found
}

function anyRoute(): fc.Arbitrary<HttpRoute> {
  const path = fc.record({
    kind: fc.constantFrom('exact', 'prefix'),
    value: fc.constantFrom('/', '/a', '/a/b', '/ab', '/a/b/'),
  })
  const values = (...names: readonly string[]) =>
    fc.uniqueArray(
      fc.record({
        kind: fc.constant('exact' as const),
        name: fc.constantFrom(...names),
        value: fc.constantFrom('1', '2'),
      }),
      { maxLength: 2, selector: ({ name }) => name },
    )
  const match = fc.record({
    path,
    headers: values('x', 'y'),
    query: values('p', 'q'),
    method: fc.constantFrom(undefined, 'GET', 'POST'),
  })
  const rule = fc
    .array(match, { minLength: 1, maxLength: 3 })
    .map((matches) => aRule({ matches: matches as HttpRouteMatch[] }))
  return fc
    .record({
      name: fc.constantFrom('a', 'b'),
      creationTimestamp: fc.constantFrom('', '2024-01-01T00:00:00Z', '2024-01-01T02:00:00+01:00'),
      rules: fc.array(rule, { minLength: 1, maxLength: 3 }),
    })
    .map(anHttpRoute)
}

function anyRequest() {
  const pairs = fc.uniqueArray(fc.tuple(fc.constantFrom('x', 'y'), fc.constantFrom('1', '2')), {
    selector: ([name]) => name,
  })
  return fc
    .record({
      method: fc.constantFrom('GET', 'POST'),
      path: fc.constantFrom('/', '/a', '/a/', '/a/b', '/ab', '/a/b/c?p=1', '/a?q=2&p=2', '/?p=1&q=1'),
      headers: pairs.map((all) => all.flat()),
    })
    .map(aRequest)
}

/** Every match of every rule, thrown out one criterion after the other. */
function naively(routes: readonly HttpRoute[], head: ReturnType<typeof aRequest>): string | undefined {
  let left = routes
    .flatMap((route) =>
      route.rules.flatMap(({ matches }, rule) => matches.map((match) => ({ route, rule, match }))),
    )
    .filter(({ match }) => holds(match, head))
  const keepLargest = (rank: (entry: (typeof left)[number]) => number) => {
    const best = Math.max(...left.map(rank))
    left = left.filter((entry) => rank(entry) === best)
  }
  keepLargest(({ match }) => (match.path.kind === 'exact' ? 1 : 0))
  keepLargest(({ match }) => match.path.value.length)
  keepLargest(({ match }) => (match.method === undefined ? 0 : 1))
  keepLargest(({ match }) => match.headers.length)
  keepLargest(({ match }) => match.query.length)
  keepLargest(
    ({ route }) => -(route.creationTimestamp === '' ? 0 : new Date(route.creationTimestamp).getTime()),
  )
  const first = left.map(({ route }) => `${route.namespace}/${route.name}`).sort()[0]
  left = left.filter(({ route }) => `${route.namespace}/${route.name}` === first)
  keepLargest(({ rule }) => -rule)
  const [chosen] = left
  return chosen && `${chosen.route.name} ${chosen.rule} ${JSON.stringify(chosen.match)}`
}

function holds({ path, headers, query, method }: HttpRouteMatch, head: ReturnType<typeof aRequest>): boolean {
  const { path: target, query: text = '' } = splitPath(head.path)
  const segments = (value: string) =>
    value.split('/').filter((segment, index, all) => segment !== '' || index < all.length - 1)
  const prefix = segments(path.value)
  const isPrefix = segments(target).slice(0, prefix.length).join('/') === prefix.join('/')
  const has = (pairs: readonly string[], name: string, value: string) => pairs.includes(`${name}=${value}`)
  const fields = head.headers.flatMap((name, index) =>
    index % 2 === 0 ? [`${name}=${head.headers[index + 1]}`] : [],
  )
  return (
    (path.kind === 'exact' ? target === path.value : isPrefix) &&
    (method === undefined || method === head.method) &&
    headers.every(({ name, value }) => has(fields, name, value)) &&
    query.every(({ name, value }) => has(text.split('&'), name, value))
  )
}
