import t from 'tap'
import type { StringMatch } from '../model.ts'
import type { Verdict } from '../verdict.ts'
import { authorizeHttp } from './authorize-http.ts'
import type { WaypointPolicyContext } from './http-subject.ts'
import type { HttpPolicyMatch } from './policy-model.ts'
import { aRequest, aWaypointMatch, aWaypointPolicy, FROM_CLIENT } from './policy-test-support.ts'
import type { HttpRequestHead } from './request.ts'

const exact = (value: string): StringMatch => ({ kind: 'exact', value })
const prefix = (value: string): StringMatch => ({ kind: 'prefix', value })
const suffix = (value: string): StringMatch => ({ kind: 'suffix', value })
const presence: StringMatch = { kind: 'presence' }

const CONTEXT: WaypointPolicyContext = {
  ...FROM_CLIENT,
  remoteAddress: '203.0.113.7',
  serverName: 'sni.example',
}
const REQUEST = aRequest({
  method: 'POST',
  authority: 'Server.example',
  path: '/api/users/7?full=1',
  headers: ['x-role', 'tester', 'x-empty', ''],
})
const header = (name: string, values: StringMatch[], notValues: StringMatch[] = []) => ({
  headers: [{ name, values, notValues }],
})

type Row = readonly [match: Partial<HttpPolicyMatch>, matched: boolean, why: string]

const ROWS: readonly Row[] = [
  [{ hosts: [exact('server.EXAMPLE')] }, true, 'hosts in any case'],
  [{ hosts: [prefix('server.')] }, true, 'by prefix'],
  [{ hosts: [suffix('.example')] }, true, 'by suffix'],
  [{ hosts: [exact('example')] }, false, 'another host'],
  [{ notHosts: [exact('server.example')] }, false, 'not this host'],
  [{ notHosts: [exact('other.example')] }, true, 'not another'],
  [{ methods: [exact('GET'), exact('POST')] }, true, 'one of the methods'],
  [{ methods: [exact('GET')] }, false, 'another method'],
  [{ methods: [presence] }, true, 'any method'],
  [{ notMethods: [exact('POST')] }, false, 'not this method'],
  [{ notMethods: [exact('GET')] }, true, 'not another'],
  [{ paths: [exact('/api/users/7')] }, true, 'the path without its query'],
  [{ paths: [exact('/api/users/7?full=1')] }, false, 'never with it'],
  [{ paths: [prefix('/api/')] }, true, 'by prefix'],
  [{ paths: [suffix('/7')] }, true, 'by suffix'],
  [{ paths: [{ kind: 'template', value: '/api/{*}/7' }] }, true, 'by template'],
  [{ paths: [{ kind: 'template', value: '/api/{*}' }] }, false, 'by another template'],
  [{ notPaths: [prefix('/api')] }, false, 'not this path'],
  [{ notPaths: [exact('/admin')] }, true, 'not another'],
  [header('x-role', [exact('tester')]), true, 'a header'],
  [header('x-role', [exact('Tester')]), false, 'its case counts'],
  [header('x-role', [presence]), true, 'a header that is there'],
  [header('x-empty', [presence]), true, 'though empty'],
  [header('x-none', [presence]), false, 'a header that is not there'],
  [header('x-none', [], [exact('a')]), true, 'not there, and so not that'],
  [header('x-role', [presence], [exact('tester')]), false, 'there, but that'],
  [header('x-role', [prefix('test')], [exact('other')]), true, 'both lists of one header'],
  [header('host', [exact('Server.example')]), true, 'the authority is the header host'],
  [header(':method', [exact('POST')]), true, 'the method as a header'],
  [header(':path', [suffix('full=1')]), true, 'the path as a header, with its query'],
  [header(':scheme', [exact('http')]), true, 'the scheme as a header'],
  [{ remoteIps: ['203.0.113.0/24'] }, true, 'the remote address'],
  [{ remoteIps: ['10.0.0.0/8'] }, false, 'not the source address'],
  [{ notRemoteIps: ['203.0.113.7'] }, false, 'not this remote address'],
  [{ notRemoteIps: ['10.0.0.1'] }, true, 'not another'],
  [{ trustDomains: [exact('cluster.local')] }, true, 'the trust domain'],
  [{ trustDomains: [exact('other')] }, false, 'another'],
  [{ notTrustDomains: [suffix('.local')] }, false, 'not this trust domain'],
  [{ notTrustDomains: [exact('other')] }, true, 'not another'],
  [{ serverNames: [exact('sni.example')] }, true, 'the server name'],
  [{ serverNames: [exact('x')] }, false, 'another'],
  [{ notServerNames: [exact('sni.example')] }, false, 'not this server name'],
  [{ notServerNames: [exact('x')] }, true, 'not another'],
  [{ namespaces: [exact('from')], paths: [prefix('/api')] }, true, 'fields of both layers'],
  [{ namespaces: [exact('x')], paths: [prefix('/api')] }, false, 'all of them'],
  [{ namespaces: [exact('from')], paths: [prefix('/x')] }, false, 'of either layer'],
  [{ principals: [exact('cluster.local/ns/from/sa/acct')] }, true, 'layer 4: principal'],
  [{ notSourceIps: ['10.0.0.0/8'] }, false, 'layer 4: address'],
  [{ destinationPorts: [80] }, true, 'layer 4: port'],
  [{}, false, 'a match without any list'],
]

function judge(
  action: 'ALLOW' | 'DENY',
  match: Partial<HttpPolicyMatch>,
  head: HttpRequestHead | undefined = REQUEST,
): Verdict {
  return authorizeHttp([aWaypointPolicy({ action, rules: [[[aWaypointMatch(match)]]] })], CONTEXT, head)
}

t.test('every field, by ALLOW, by DENY and in the tree', async (t) => {
  for (const [match, matched, why] of ROWS) {
    const what = `${why}: ${JSON.stringify(match)}`
    const verdict = judge('ALLOW', match)
    t.equal(verdict.allowed, matched, `ALLOW ${what}`)
    t.equal(verdict.tree()[0]?.matched, matched, `the tree: ${what}`)
    t.equal(judge('DENY', match).allowed, !matched, `DENY ${what}`)
  }
})

t.test('every field of layer 7 has a row that holds and one that does not', async (t) => {
  const own = ['hosts', 'methods', 'paths', 'remoteIps', 'trustDomains', 'serverNames']
  const names = own.flatMap((name) => [name, `not${name.slice(0, 1).toUpperCase()}${name.slice(1)}`])
  for (const name of [...names, 'headers']) {
    for (const holds of [true, false]) {
      t.ok(
        ROWS.some(([match, matched]) => matched === holds && Object.keys(match).join() === name),
        `${name} ${holds}`,
      )
    }
  }
})

const OF_HTTP: readonly Partial<HttpPolicyMatch>[] = [
  { hosts: [exact('server.example')] },
  { notHosts: [exact('x')] },
  { methods: [exact('POST')] },
  { notMethods: [exact('GET')] },
  { paths: [prefix('/')] },
  { notPaths: [exact('/x')] },
  header('x-role', [presence]),
  header('x-role', [], [exact('x')]),
]

t.test('a connection that is not HTTP: ALLOW rules of HTTP are left out, DENY rules are wider', async (t) => {
  const connection = (action: 'ALLOW' | 'DENY', rules: Partial<HttpPolicyMatch>[][][]) => {
    const matches = rules.map((clauses) => clauses.map((matches) => matches.map(aWaypointMatch)))
    return authorizeHttp([aWaypointPolicy({ action, rules: matches })], CONTEXT, undefined)
  }
  for (const match of OF_HTTP) {
    const what = JSON.stringify(match)
    t.equal(connection('ALLOW', [[[match]]]).allowed, false, `ALLOW ${what}`)
    t.equal(
      connection('ALLOW', [[[match, { destinationPorts: [80] }]]]).allowed,
      false,
      `the whole rule ${what}`,
    )
    t.equal(connection('ALLOW', [[[match]], [[{ destinationPorts: [80] }]]]).rule, 2, 'other rules stay')
    t.equal(connection('DENY', [[[match]]]).allowed, false, `DENY ${what}`)
    t.equal(connection('DENY', [[[{ ...match, destinationPorts: [81] }]]]).allowed, true, `port: ${what}`)
    t.equal(connection('DENY', [[[match], [{ namespaces: [exact('x')] }]]]).allowed, true, `from: ${what}`)
    t.equal(
      connection('DENY', [[[match], [{ namespaces: [exact('from')] }]]]).allowed,
      false,
      `from: ${what}`,
    )
  }
  for (const match of [
    { remoteIps: ['203.0.113.7'] },
    { trustDomains: [presence] },
    { serverNames: [presence] },
  ]) {
    t.equal(connection('ALLOW', [[[match]]]).allowed, true, `is no HTTP: ${JSON.stringify(match)}`)
  }
  const [tree] = connection('ALLOW', [[[{ methods: [exact('GET')] }]]]).tree()
  t.match(tree?.rules[0]?.clauses[0]?.matches[0]?.fields, [{ field: 'methods', actual: 'no HTTP request' }])
})

t.test('what nobody here can judge by never lets in, and does not keep a DENY from matching', async (t) => {
  const jwt = { unsupported: ['requestPrincipals'] }
  t.equal(judge('ALLOW', jwt).allowed, false)
  t.equal(judge('ALLOW', { ...jwt, methods: [exact('POST')] }).allowed, false)
  t.equal(judge('DENY', jwt).allowed, false)
  t.equal(judge('DENY', { ...jwt, methods: [exact('GET')] }).allowed, true)
  const [tree] = judge('DENY', jwt).tree()
  t.match(tree?.rules[0]?.clauses[0]?.matches[0]?.fields, [
    { field: 'requestPrincipals', matched: true, actual: 'not verified here' },
  ])
})

t.test('the order, what decided, and what a dry run would have', async (t) => {
  const rules = (match: Partial<HttpPolicyMatch>) => [[[aWaypointMatch(match)]]]
  const api = { paths: [prefix('/api')] }
  const verdict = authorizeHttp(
    [
      aWaypointPolicy({ name: 'allow', rules: [...rules({ methods: [exact('GET')] }), ...rules(api)] }),
      aWaypointPolicy({ name: 'dry', action: 'DENY', dryRun: true, rules: rules(api) }),
      aWaypointPolicy({ name: 'deny', action: 'DENY', rules: rules({ paths: [exact('/admin')] }) }),
    ],
    CONTEXT,
    REQUEST,
  )
  t.match(verdict, {
    allowed: true,
    policy: 'default/allow',
    rule: 2,
    message: 'explicitly allowed by: default/allow',
    dryRun: [{ policy: 'default/dry', action: 'DENY', matched: true }],
  })
  t.strictSame(
    verdict.tree().map(({ policy, matched }) => [policy, matched]),
    [
      ['default/dry', true],
      ['default/deny', false],
      ['default/allow', true],
    ],
  )
  t.match(verdict.tree()[1]?.rules[0]?.clauses[0]?.matches[0]?.fields, [
    { field: 'paths', matched: false, actual: '/api/users/7', expected: ['/admin'] },
  ])
  t.match(judge('ALLOW', { methods: [exact('GET')] }), {
    allowed: false,
    reason: 'allow-policies-but-none-matched',
    unmatched: { names: ['default/policy'], total: 1 },
  })
  t.equal(authorizeHttp([], CONTEXT, REQUEST).reason, 'no-allow-policies')
})

t.test(
  'without a gateway’s word the remote address is the source address, and the server name empty',
  async (t) => {
    const allow = (match: Partial<HttpPolicyMatch>) =>
      authorizeHttp([aWaypointPolicy({ rules: [[[aWaypointMatch(match)]]] })], FROM_CLIENT, REQUEST).allowed
    t.equal(allow({ remoteIps: ['10.0.0.1'] }), true)
    t.equal(allow({ serverNames: [presence] }), false)
  },
)
