import t from 'tap'
import { authorizeHttp } from './authorize-http.ts'
import type { HttpPolicyMatch, WaypointPolicy } from './policy-model.ts'
import { aRequest, aWaypointMatch, aWaypointPolicy, FROM_CLIENT } from './policy-test-support.ts'
import type { HttpRequestHead } from './request.ts'

// Ways to write a request so that the policy sees one thing and the server
// behind another. What is refused must stay refused, however it is written.

const exact = (value: string) => ({ kind: 'exact', value }) as const
const prefix = (value: string) => ({ kind: 'prefix', value }) as const
const policy = (action: WaypointPolicy['action'], match: Partial<HttpPolicyMatch>): WaypointPolicy =>
  aWaypointPolicy({ action, rules: [[[aWaypointMatch(match)]]] })
const allowed = (policy: WaypointPolicy, request: Partial<HttpRequestHead>): boolean =>
  authorizeHttp([policy], FROM_CLIENT, aRequest(request)).allowed

const ADMIN: readonly string[] = [
  '/admin',
  '/admin?x=1',
  '//admin',
  '///admin',
  '/./admin',
  '/x/../admin',
  '/../admin',
  '/%61dmin',
  '/%41%2e/..//admin',
  '/x/%2e%2e/admin',
  '\\admin',
  '/x\\..\\admin',
  '/%2Fadmin',
  '/%5cadmin',
  '/x%2f..%2Fadmin',
  '/%2561dmin',
  '/%252fadmin',
  '/admin;v=1',
  '/;x/admin',
  '/x/..;/admin',
  '/x/..;a=b/admin',
  '/x//../admin',
  '/x/%2F../admin',
  '/adm%69n;jsessionid=1?y',
  '/x/%00/admin',
  '/admin%00',
  'admin',
]

t.test('a path that is denied, in other words', async (t) => {
  const deny = policy('DENY', { paths: [exact('/admin')] })
  const denyBelow = policy('DENY', { paths: [prefix('/admin')] })
  const template = policy('DENY', { paths: [{ kind: 'template', value: '/{*}' }] })
  const allowOthers = policy('ALLOW', { notPaths: [prefix('/admin')] })
  for (const path of ADMIN) {
    t.equal(allowed(deny, { path }), false, `exact: ${path}`)
    t.equal(allowed(denyBelow, { path }), false, `prefix: ${path}`)
    t.equal(allowed(template, { path }), false, `template: ${path}`)
    t.equal(allowed(allowOthers, { path }), false, `notPaths of an ALLOW: ${path}`)
  }
  for (const path of ['/', '/public', '/adminx', '/x/admin', '/?/admin', '/x?../admin', '/Admin']) {
    t.equal(allowed(deny, { path }), true, path)
  }
})

t.test('out of a path that is allowed into another', async (t) => {
  const allow = policy('ALLOW', { paths: [prefix('/public/')] })
  const denyRest = policy('DENY', { notPaths: [prefix('/public/')] })
  for (const path of [
    ...['/public/../admin', '/public/%2e%2e/admin', '/public\\..\\admin', '/public/..;/admin'],
    ...['/public/..%2fadmin', '/public/..%5cadmin', '/public/%252e%252e/admin', '/public/x;/../../admin'],
  ]) {
    t.equal(allowed(allow, { path }), false, `ALLOW: ${path}`)
    t.equal(allowed(denyRest, { path }), false, `notPaths of a DENY: ${path}`)
  }
  for (const path of [
    '/public/',
    '/public//a',
    '/public/a%2Fb',
    '/public/a;b',
    '/public/x/../y',
    '/%70ublic/x',
  ]) {
    t.equal(allowed(allow, { path }), true, `ALLOW: ${path}`)
    t.equal(allowed(denyRest, { path }), true, `notPaths of a DENY: ${path}`)
  }
  t.equal(allowed(allow, { path: '*' }), false, 'OPTIONS *')
})

t.test('/admin/..;/ is below /admin to one server and the root to another', async (t) => {
  t.equal(allowed(policy('DENY', { paths: [prefix('/admin/')] }), { path: '/admin/..;/' }), false)
  t.equal(allowed(policy('DENY', { paths: [exact('/')] }), { path: '/admin/..;/' }), false)
  t.equal(allowed(policy('ALLOW', { paths: [prefix('/admin/')] }), { path: '/admin/..;/' }), false)
})

t.test('the tree says what a request was taken for', async (t) => {
  const deny = policy('DENY', { paths: [exact('/admin')] })
  const [tree] = authorizeHttp([deny], FROM_CLIENT, aRequest({ path: '/x/..;/admin' })).tree()
  t.match(tree?.rules[0]?.clauses[0]?.matches[0]?.fields, [
    { field: 'paths', matched: true, actual: '/x/..;/admin or /admin', expected: ['/admin'] },
  ])
})

t.test('a host that is denied, in other words', async (t) => {
  const deny = policy('DENY', { hosts: [exact('Admin.example')] })
  const except = policy('ALLOW', { notHosts: [exact('admin.example')] })
  for (const authority of [
    ...['admin.example', 'ADMIN.example', 'admin.example.', 'admin.example:80', 'Admin.Example.:8080'],
    ...['admin.example:', ''],
  ]) {
    t.equal(allowed(deny, { authority }), false, `hosts: ${authority}`)
    t.equal(allowed(except, { authority }), false, `notHosts of an ALLOW: ${authority}`)
  }
  t.equal(allowed(deny, { authority: 'admin.example.org' }), true)
  const withPort = policy('DENY', { hosts: [exact('admin.example:8080')] })
  t.equal(allowed(withPort, { authority: 'admin.example.:8080' }), false)
  t.equal(allowed(withPort, { authority: 'admin.example:80' }), true)
})

t.test('a host is allowed as Istio has it: with the port if the request has one', async (t) => {
  const allow = policy('ALLOW', { hosts: [exact('a.example')] })
  t.equal(allowed(allow, { authority: 'A.example' }), true)
  t.equal(allowed(allow, { authority: 'a.example:8080' }), false)
  t.equal(allowed(allow, { authority: '' }), false)
  t.equal(
    allowed(policy('ALLOW', { hosts: [exact('a.example:8080')] }), { authority: 'a.example:8080' }),
    true,
  )
  t.equal(allowed(policy('ALLOW', { hosts: [prefix('a.example:')] }), { authority: 'a.example:8080' }), true)
  t.equal(allowed(policy('ALLOW', { hosts: [{ kind: 'presence' }] }), { authority: 'x' }), true)
})

t.test('a header that is sent twice', async (t) => {
  const headers = (...values: string[]) => values.flatMap((value) => ['x-role', value])
  const of = (values: string[], notValues: string[] = []) => ({
    headers: [{ name: 'x-role', values: values.map(exact), notValues: notValues.map(exact) }],
  })
  for (const values of [['bad'], ['good', 'bad'], ['bad', 'good'], ['bad', 'bad']]) {
    t.equal(allowed(policy('DENY', of(['bad'])), { headers: headers(...values) }), false, `DENY: ${values}`)
    t.equal(
      allowed(policy('ALLOW', of([], ['bad'])), { headers: headers(...values) }),
      false,
      `not: ${values}`,
    )
    t.equal(
      allowed(policy('ALLOW', of(['good'])), { headers: headers(...values) }),
      false,
      `ALLOW: ${values}`,
    )
  }
  t.equal(allowed(policy('ALLOW', of(['good'])), { headers: headers('good') }), true)
  t.equal(allowed(policy('ALLOW', of(['good', 'fine'])), { headers: headers('good', 'fine') }), false)
  const begins = policy('ALLOW', { headers: [{ name: 'x-role', values: [prefix('good')], notValues: [] }] })
  t.equal(allowed(begins, { headers: headers('good', 'bad') }), false, 'a prefix of what is joined')
  t.equal(allowed(begins, { headers: headers('good', 'good1') }), true)
})

t.test('a method in small letters', async (t) => {
  t.equal(allowed(policy('DENY', { methods: [exact('DELETE')] }), { method: 'delete' }), false)
  t.equal(allowed(policy('ALLOW', { methods: [exact('GET')] }), { method: 'get' }), false)
  t.equal(allowed(policy('ALLOW', { methods: [exact('GET')] }), { method: 'GET' }), true)
})
