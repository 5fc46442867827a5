// What an HTTPRoute says, seen by the client, by the waypoint and by the
// application that answers.
import '../support/own-namespaces.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ClientRequest } from '../../src/lab/client.ts'
import { startLab, type Target } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'
import { ask } from '../support/waypoint-requests.ts'

t.setTimeout(120_000)

const MESH = join(import.meta.dirname, '../support/waypoint-replicas')
const SERVER: Target = { to: 'app/server', by: 'service', port: 'http' }
const REQUESTS = 60

t.test('an HTTPRoute', async (t) => {
  await using lab = await startLab({ manifests: MESH })
  writeFileSync(join(lab.state.config, 'routes.yaml'), ROUTES)
  const get = (path: string, how: Partial<ClientRequest> = {}) => ask(lab, 'app/client', SERVER, path, how)
  await until(async () => (await get('/')).lines[0]?.rule === 'rest', 'the route to be in force')

  await t.test('weights: of many requests on one connection, each to whom the draw says', async (t) => {
    const { report, lines } = await get('/split', { requests: REQUESTS })
    t.same([...new Set(report.statuses)], [200])
    const second = lines.filter(({ destinationWorkload }) => destinationWorkload === 'app/v2').length
    t.ok(second > 0 && second < REQUESTS / 2, `v2 got ${second} of ${REQUESTS}, a fourth was meant`)
    t.same([...new Set(lines.map(({ rule }) => rule))], ['split'])
  })

  await t.test('a header', async (t) => {
    const { app, lines } = await get('/', { headers: { 'x-version': 'two' } })
    t.equal(app.app, 'app/v2')
    t.match(lines, [{ rule: 'header', route: 'HTTPRoute/app/server' }])
    t.equal((await get('/')).app.app, 'app/v1')
  })

  await t.test('headers of request and response are changed, the path is rewritten', async (t) => {
    const { app, report } = await get('/old/page', { headers: { 'x-take-away': 'me' } })
    t.match(app.path, /^\/new\/page\?marker=/)
    t.equal(app.headers?.['x-added'], 'by-route')
    t.notHas(app.headers, { 'x-take-away': 'me' })
    t.equal(report.headers?.['x-answered'], 'by-route')
  })

  await t.test('a redirect is answered by the waypoint itself', async (t) => {
    const { report, app } = await get('/moved')
    t.equal(report.status, 301)
    t.match(report.headers?.['location'], /^http:\/\/elsewhere\.example\/moved\?marker=/)
    t.same(app, {}, 'no application was asked')
  })

  await t.test('a mirror has its request, and the client one answer', async (t) => {
    const marker = lab.newMarker()
    const { app } = await get('/mirrored', { marker })
    t.match(app, { app: 'app/v1', seen: 1 })
    const before = lab.journal.requests.length
    // The mirror's own count: how often it has seen this marker, this question included.
    await until(async () => {
      const second: Target = { to: 'app/server-v2', by: 'service', port: 'http' }
      return ((await ask(lab, 'app/client', second, '/asked', { marker })).app.seen ?? 0) >= 2
    }, 'the mirror to be reached')
    t.ok(lab.journal.requests.length > before)
  })

  await t.test('a time-out: 504', async (t) => {
    const { report, lines } = await get('/delay/20000')
    t.equal(report.status, 504)
    t.match(lines, [{ status: 504, flags: 'UT', rule: 'slow' }])
    t.ok(report.milliseconds < 15_000, 'long before the application')
  })

  await t.test('who fails is passed over: the request is tried again, at another endpoint', async (t) => {
    const headers = { 'x-lab-fail': 'app/v1' }
    const { report, lines } = await get('/retried', { headers, requests: 20 })
    t.same([...new Set(report.statuses)], [200])
    t.ok(
      lines.some(({ tries }) => tries === 2),
      'some were tried twice',
    )
    t.same([...new Set(lines.map(({ destinationWorkload }) => destinationWorkload))], ['app/v2'])
    const once = await get('/', { headers })
    t.equal(once.report.status, 503, 'where no route says so, an answer is an answer')
  })

  await t.test('an invalid backend: 500; none that matches: 404', async (t) => {
    t.equal((await get('/nowhere')).report.status, 500)
    const only: Target = { to: 'app/server-v1', by: 'service', port: 'http' }
    writeFileSync(join(lab.state.config, 'only.yaml'), ONLY_EXACT)
    await until(async () => (await ask(lab, 'app/client', only, '/other')).report.status === 404, 'no match')
    t.equal((await ask(lab, 'app/client', only, '/exact')).report.status, 200)
  })

  await t.test('an endpoint behind a sidecar that speaks no HBONE', async (t) => {
    const legacy: Target = { to: 'app/legacy', by: 'service', port: 'http' }
    const { app, lines } = await ask(lab, 'app/client', legacy, '/')
    t.equal(app.app, 'app/legacy')
    t.match(lines, [{ upstreamHost: '10.244.4.12:8000', sourceWorkload: 'app/client' }])
  })
})

const parent = (service: string): string =>
  `parentRefs: [{ group: '', kind: Service, name: ${service}, port: 80 }]`
const exact = (path: string): string => `matches: [{ path: { type: Exact, value: ${path} } }]`
const FIRST = 'backendRefs: [{ name: server-v1, port: 80 }]'

const ROUTES = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { namespace: app, name: server }
spec:
  ${parent('server')}
  rules:
    - name: split
      ${exact('/split')}
      backendRefs: [{ name: server-v1, port: 80, weight: 3 }, { name: server-v2, port: 80, weight: 1 }]
    - name: header
      matches: [{ headers: [{ name: x-version, value: two }] }]
      backendRefs: [{ name: server-v2, port: 80 }]
    - name: rewritten
      matches: [{ path: { type: PathPrefix, value: /old } }]
      filters:
        - type: URLRewrite
          urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /new } }
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: x-added, value: by-route }], remove: [x-take-away] }
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: x-answered, value: by-route }] }
      ${FIRST}
    - name: moved
      ${exact('/moved')}
      filters:
        - { type: RequestRedirect, requestRedirect: { hostname: elsewhere.example, statusCode: 301 } }
    - name: mirrored
      ${exact('/mirrored')}
      filters:
        - { type: RequestMirror, requestMirror: { backendRef: { name: server-v2, port: 80 } } }
      ${FIRST}
    - name: slow
      matches: [{ path: { type: PathPrefix, value: /delay } }]
      timeouts: { request: 1s }
      ${FIRST}
    - name: retried
      ${exact('/retried')}
      retry: { codes: [503], attempts: 3, backoff: 5ms }
      backendRefs: [{ name: server, port: 80 }]
    - name: nowhere
      ${exact('/nowhere')}
      backendRefs: [{ name: not-there, port: 80 }]
    - name: rest
      ${FIRST}
`

const ONLY_EXACT = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { namespace: app, name: only }
spec:
  ${parent('server-v1')}
  rules:
    - name: exact
      ${exact('/exact')}
      ${FIRST}
`
