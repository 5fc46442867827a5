import t from 'tap'
import { filterRequest, filterResponse } from './filters.ts'
import type { HttpFilter, HttpPathModifier, HttpRouteMatch } from './route-model.ts'
import { aBackend, anHttpMatch, aRequest } from './route-test-support.ts'

type Redirect = Extract<HttpFilter, { kind: 'RequestRedirect' }>

t.test("a prefix is replaced as the Gateway API's table says", async (t) => {
  const table: readonly (readonly [string, string, string, string])[] = [
    ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
    ['/foo', '/foo', '/xyz', '/xyz'],
    ['/foo/', '/foo', '/xyz', '/xyz/'],
    ['/foo/bar', '/foo', '', '/bar'],
    ['/foo/', '/foo', '', '/'],
    ['/foo', '/foo', '', '/'],
    ['/foo/', '/foo', '/', '/'],
    ['/foo', '/foo', '/', '/'],
    ['/foo', '/', '/xyz', '/xyz/foo'],
    ['/foo?q=/foo', '/foo', '/xyz', '/xyz?q=/foo'],
  ]
  for (const [path, prefix, value, expected] of table) {
    const got = rewritten(path, { kind: 'prefix', value }, { kind: 'prefix', value: prefix })
    t.equal(got, expected, `${path}, ${prefix} by "${value}"`)
  }
})

t.test('a whole path is replaced, and its query kept', async (t) => {
  t.equal(rewritten('/a/b?c=d', { kind: 'full', value: '/x' }), '/x?c=d')
  t.equal(rewritten('/a/b', { kind: 'full', value: '/x' }), '/x')
})

t.test('a rewritten hostname is the only one that is left', async (t) => {
  const head = aRequest({ authority: 'echo:80', headers: ['host', 'echo:80', 'accept', '*/*'] })
  const filter = { kind: 'URLRewrite', hostname: 'one.example', path: undefined } as const
  const result = filterRequest([filter], input({ head }))
  t.match(result, { head: { authority: 'one.example', headers: ['host', 'one.example', 'accept', '*/*'] } })
  const modifier = { set: [{ name: 'host', value: 'two.example' }], add: [], remove: [] }
  const set = filterRequest([{ kind: 'RequestHeaderModifier', modifier }], input())
  t.match(
    set,
    { head: { authority: 'two.example', headers: [] } },
    'set as a header, it is the authority too',
  )
})

t.test('headers are set, added and removed', async (t) => {
  const headers = ['a', '1', 'b', '1', 'a', '2', 'c', '1', 'B', '3']
  const modifier = {
    set: [
      { name: 'a', value: 'set' },
      { name: 'new', value: 'set' },
    ],
    add: [
      { name: 'c', value: 'added' },
      { name: 'd', value: 'added' },
    ],
    remove: ['b'],
  }
  const expected = ['a', 'set', 'c', '1', 'B', '3', 'new', 'set', 'c', 'added', 'd', 'added']
  t.strictSame(filterResponse([{ kind: 'ResponseHeaderModifier', modifier }], headers), expected)
  t.strictSame(filterResponse([{ kind: 'RequestHeaderModifier', modifier }], headers), headers)
  const request = filterRequest(
    [{ kind: 'RequestHeaderModifier', modifier }],
    input({ head: aRequest({ headers }) }),
  )
  t.match(request, { head: { headers: expected } })
  const untouched = filterRequest(
    [{ kind: 'ResponseHeaderModifier', modifier }],
    input({ head: aRequest({ headers }) }),
  )
  t.match(untouched, { head: { headers } })
})

t.test('a redirect takes from the request what it does not name', async (t) => {
  const cases: readonly (readonly [Partial<Redirect>, number, string])[] = [
    [{}, 80, 'http://echo/a?b=c'],
    [{}, 8080, 'http://echo:8080/a?b=c'],
    [{ scheme: 'https' }, 8080, 'https://echo/a?b=c'],
    [{ scheme: 'http' }, 8080, 'http://echo/a?b=c'],
    [{ scheme: 'https', port: 8443 }, 80, 'https://echo:8443/a?b=c'],
    [{ scheme: 'https', port: 443 }, 80, 'https://echo/a?b=c'],
    [{ port: 8083 }, 80, 'http://echo:8083/a?b=c'],
    [{ port: 80 }, 8080, 'http://echo/a?b=c'],
    [{ hostname: 'example.org' }, 80, 'http://example.org/a?b=c'],
    [{ hostname: 'example.org', port: 8083 }, 80, 'http://example.org:8083/a?b=c'],
    [{ path: { kind: 'full', value: '/x' } }, 80, 'http://echo/x?b=c'],
    [{ path: { kind: 'prefix', value: '/x' } }, 80, 'http://echo/x/a?b=c'],
  ]
  for (const [fields, port, location] of cases) {
    const head = aRequest({ authority: 'echo:8080', path: '/a?b=c' })
    const result = filterRequest([redirect(fields)], input({ head, port }))
    t.match(result, { kind: 'respond', status: 302, location }, JSON.stringify(fields))
  }
  const ipv6 = aRequest({ authority: '[fd00::1]:8080' })
  t.match(filterRequest([redirect({})], input({ head: ipv6 })), { location: 'http://[fd00::1]/' })
})

t.test('a share of the requests is mirrored, as they are at that point', async (t) => {
  const modifier = { set: [{ name: 'x', value: '1' }], add: [], remove: [] }
  const filters: readonly HttpFilter[] = [
    { kind: 'RequestHeaderModifier', modifier },
    { kind: 'RequestMirror', backend: aBackend('copy').target, numerator: 25, denominator: 100 },
    { kind: 'RequestHeaderModifier', modifier: { set: [], add: [], remove: ['x'] } },
    { kind: 'RequestMirror', backend: { kind: 'invalid', reason: 'gone' }, numerator: 1, denominator: 1 },
  ]
  const mirrored = filterRequest(filters, input({ random: () => 0.249 }))
  t.match(mirrored, { kind: 'continue', head: { headers: [] } })
  t.strictSame(
    mirrored.mirrors.map(({ head, target }) => [target.service, head.headers]),
    [['default/copy.default.svc.cluster.local', ['x', '1']]],
  )
  t.strictSame(filterRequest(filters, input({ random: () => 0.25 })).mirrors, [])
  t.equal(mirrored.steps.at(-1)?.detail, 'not mirrored: gone')
  const never = {
    kind: 'RequestMirror',
    backend: aBackend('copy').target,
    numerator: 0,
    denominator: 100,
  } as const
  t.strictSame(filterRequest([never], input({ random: () => 0 })).mirrors, [])
})

t.test('a filter that cannot be applied is not left out', async (t) => {
  const result = filterRequest(
    [{ kind: 'Unsupported', reason: 'there is no such filter' }, redirect({})],
    input(),
  )
  t.match(result, { kind: 'respond', status: 500, location: undefined })
})

function rewritten(
  path: string,
  modifier: HttpPathModifier,
  match: HttpRouteMatch['path'] = { kind: 'prefix', value: '/' },
): string | undefined {
  const filter = { kind: 'URLRewrite', hostname: undefined, path: modifier } as const
  const result = filterRequest([filter], {
    ...input({ head: aRequest({ path }) }),
    match: anHttpMatch({ path: match }),
  })
  return result.kind === 'continue' ? result.head.path : undefined
}

function redirect(fields: Partial<Redirect>): Redirect {
  const none = { scheme: undefined, hostname: undefined, path: undefined, port: undefined }
  return { kind: 'RequestRedirect', statusCode: 302, ...none, ...fields }
}

function input(fields: Partial<Parameters<typeof filterRequest>[1]> = {}) {
  return { head: aRequest(), match: anHttpMatch(), port: 80, random: () => 0, ...fields }
}
