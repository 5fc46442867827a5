import { Agent, createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { eventually } from '../hbone/test-support.ts'
import type { HttpPolicyMatch, HttpRoute, HttpRouteRule } from '../mesh/http/index.ts'
import { type ServiceKey, serviceKey, type Workload } from '../mesh/index.ts'
import { aPort, aService } from '../mesh/test-support.ts'
import {
  aHttpMatch,
  CLIENT,
  GATEWAY,
  GATEWAY_NAME,
  NET,
  startWaypointLab,
  VIP,
  type WaypointLab,
} from './test-support.ts'

const SERVICE: ServiceKey = 'default/server.default.svc.cluster.local'

/** An application: says who it is, and what it was asked. */
function application(name: string): (socket: Socket) => void {
  const server = createServer((request, response) => {
    const { method, url, headers } = request
    request.resume()
    request.once('end', () => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ name, method, url, headers }))
    })
  })
  return (socket) => {
    server.emit('connection', socket)
    socket.resume()
  }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** Of our applications. */
  readonly said: {
    readonly name?: string
    readonly url?: string
    readonly headers?: Record<string, string>
  }
}

/** Keeps one tunnel for its requests. */
function agentOf(tunnel: Duplex): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const nothing = (): Duplex => tunnel
  // What an agent asks of its sockets.
  Object.assign(tunnel, { setKeepAlive: nothing, setNoDelay: nothing, ref: nothing, unref: nothing })
  return Object.assign(agent, { createConnection: () => tunnel })
}

/** One request over a tunnel. */
async function ask(
  tunnel: Duplex | Agent,
  path = '/',
  options: { readonly headers?: Record<string, string>; readonly method?: string } = {},
): Promise<Answer> {
  const agent = tunnel instanceof Agent ? tunnel : agentOf(tunnel)
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = httpRequest({ agent, path, host: 'server', ...options }, resolve)
    outgoing.once('error', reject)
    outgoing.end()
  })
  const body = await text(response)
  const json = response.headers['content-type'] === 'application/json'
  const { statusCode = 0, headers } = response
  return { status: statusCode, headers, body, said: json ? JSON.parse(body) : {} }
}

async function get(lab: WaypointLab, path = '/', headers: Record<string, string> = {}, from?: Workload) {
  const tunnel = await lab.tunnel(`${VIP}:80`, from)
  const answer = await ask(tunnel, path, { headers })
  tunnel.destroy()
  return answer
}

const lines = (lab: WaypointLab): Record<string, unknown>[] =>
  lab.log.filter(({ message }) => message === 'request')

function aRoute(rules: readonly Partial<HttpRouteRule>[]): HttpRoute {
  const defaults: HttpRouteRule = {
    name: undefined,
    matches: [{ path: { kind: 'prefix', value: '/' }, headers: [], query: [], method: undefined }],
    filters: [],
    backends: [{ target: { kind: 'service', service: SERVICE, port: 80 }, weight: 1, filters: [] }],
    timeouts: { requestMs: undefined, backendRequestMs: undefined },
    retry: undefined,
  }
  return {
    kind: 'HTTPRoute',
    name: 'split',
    namespace: 'default',
    creationTimestamp: '',
    parents: [{ kind: 'service', service: SERVICE, port: undefined }],
    hostnames: [],
    rules: rules.map((rule) => ({ ...defaults, ...rule })),
  }
}

function deny(lab: WaypointLab, match: Partial<HttpPolicyMatch>): void {
  const target = { kind: 'gateway', namespace: GATEWAY_NAME.namespace, name: GATEWAY_NAME.name } as const
  const rules = [[[aHttpMatch(match)]]]
  const policy = {
    name: 'no',
    namespace: 'default',
    targets: [target],
    action: 'DENY',
    dryRun: false,
    rules,
  } as const
  lab.rules.policies.apply({ upserts: [policy] })
}

async function httpLab(t: Test, options = {}): Promise<WaypointLab> {
  const lab = await startWaypointLab(t, { appProtocol: 'HTTP11', ...options })
  await lab.endpoint('one', `${NET}.11`, application('one'))
  return lab
}

t.test('a request is forwarded, recorded, and its trace handed on', async (t) => {
  const lab = await httpLab(t)
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const answer = await get(lab, '/a?b=1', { traceparent, tracestate: 'x=y' })
  t.match(answer, {
    status: 200,
    said: { name: 'one', url: '/a?b=1', headers: { traceparent, tracestate: 'x=y' } },
  })
  await eventually('its line', () => lines(lab).length === 1)
  t.match(lines(lab)[0], {
    method: 'GET',
    path: '/a?b=1',
    protocol: 'HTTP/1.1',
    response_code: 200,
    response_flags: '-',
    response_code_details: 'via_upstream',
    upstream_host: new RegExp(`^${NET.replaceAll('.', '\\.')}\\.11:`),
    'src.identity': 'spiffe://cluster.local/ns/default/sa/client',
    'dst.workload': 'one',
    'dst.service': 'server.default.svc.cluster.local',
    trace_id: '0af7651916cd43dd8448eb211c80319c',
  })
  t.match(
    lab.httpMetrics.exposition(),
    /istio_requests_total\{reporter="waypoint",source_workload="client".*destination_workload="one".*response_code="200".*\} 1\n/,
  )
  const made = await get(lab)
  t.match(made.said.headers?.['traceparent'], /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/, 'made where there is none')
})

t.test('a port that does not say: HTTP is found by its first bytes', async (t) => {
  const lab = await httpLab(t, { appProtocol: 'UNKNOWN' })
  t.match(await get(lab, '/hello'), { status: 200, said: { name: 'one' } })
  t.match(await get(lab, '/again'), { status: 200 })
  await eventually('lines of requests', () => lines(lab).length === 2)
})

t.test('policy: 403 RBAC: access denied, before any route or endpoint', async (t) => {
  const lab = await httpLab(t)
  deny(lab, { paths: [{ kind: 'prefix', value: '/admin' }] })
  t.match(await get(lab, '/admin/x'), { status: 403, body: 'RBAC: access denied' })
  t.match(await get(lab, '/public'), { status: 200 })
  await eventually('lines', () => lines(lab).length === 2)
  t.match(lines(lab)[0], {
    response_code: 403,
    response_code_details: 'rbac_access_denied_matched_policy[ns[default]-policy[no]-rule[0]]',
    policy: 'default/no',
    'src.identity': 'spiffe://cluster.local/ns/default/sa/client',
  })
  t.match(lab.httpMetrics.exposition(), /response_code="403"/)
})

t.test(
  'an uncaught client meets the policy of its own identity, not of the pod that sends it up',
  async (t) => {
    const lab = await startWaypointLab(t)
    const pod = await lab.endpoint('pod', `${NET}.11`, application('pod'), { waypoint: GATEWAY })
    deny(lab, { notPrincipals: [{ kind: 'exact', value: 'cluster.local/ns/default/sa/pod' }] })
    const headers = { 'x-ztunnel-client-identity': 'none', forwarded: `for="${NET}.99:1"` }
    const up = (more: Record<string, string>) => lab.tunnel(`${NET}.11:${pod.port}`, pod.workload, more)
    t.match(await ask(await up(headers)), { status: 403 }, 'nobody')
    t.match(await ask(await up({})), { status: 200 }, 'the pod itself, which may')
  },
)

t.test(
  'routes: by header to another version, 404 when none matches, 500 for a backend that there is not',
  async (t) => {
    const lab = await httpLab(t)
    const v2 = aService({ name: 'v2', addresses: [], ports: [{ ...aPort(80, 8080), appProtocol: 'HTTP11' }] })
    lab.mesh.apply([{ kind: 'upsert-service', service: v2 }])
    const services = (port: number) => new Map([[serviceKey(v2), [aPort(80, port)]]])
    const two = await lab.endpoint('two', `${NET}.12`, application('two'), { services: new Map() })
    lab.mesh.upsertWorkload({ ...two.workload, services: services(two.port) })
    const matches = (path: string, headers: HttpRouteRule['matches'][number]['headers'] = []) =>
      [{ path: { kind: 'prefix', value: path }, headers, query: [], method: undefined }] as const
    const backend = (service: ServiceKey, port = 80) =>
      [{ target: { kind: 'service', service, port }, weight: 1, filters: [] }] as const
    lab.rules.applyRoutes({
      upserts: [
        aRoute([
          {
            matches: matches('/go', [{ kind: 'exact', name: 'version', value: '2' }]),
            backends: backend(serviceKey(v2)),
          },
          {
            matches: matches('/go'),
            filters: [
              {
                kind: 'RequestHeaderModifier',
                modifier: { set: [{ name: 'x-routed', value: 'yes' }], add: [], remove: [] },
              },
              {
                kind: 'ResponseHeaderModifier',
                modifier: { set: [{ name: 'x-by', value: 'route' }], add: [], remove: [] },
              },
            ],
          },
          { matches: matches('/nowhere'), backends: backend('default/nowhere') },
          { matches: matches('/portless'), backends: backend(SERVICE, 81) },
        ]),
      ],
      removals: [],
    })
    t.match(await get(lab, '/go', { version: '2' }), { status: 200, said: { name: 'two' } })
    t.match(await get(lab, '/go'), {
      status: 200,
      headers: { 'x-by': 'route' },
      said: { name: 'one', headers: { 'x-routed': 'yes' } },
    })
    t.match(await get(lab, '/other'), { status: 404 })
    t.match(await get(lab, '/nowhere'), { status: 500 })
    t.match(await get(lab, '/portless'), { status: 503, body: 'no healthy upstream' })
    await eventually('lines', () => lines(lab).length === 5)
    t.match(lines(lab)[0], { route_name: 'HTTPRoute/default/split', route_rule: '0', 'dst.workload': 'two' })
    t.match(lines(lab)[2], { response_flags: 'NR', response_code_details: 'route_not_found' })
    t.match(lines(lab)[4], { response_flags: 'UH' })
  },
)

t.test('requests of one connection are balanced one by one', async (t) => {
  const lab = await httpLab(t)
  await lab.endpoint('two', `${NET}.12`, application('two'))
  const names = new Set<string | undefined>()
  const agent = agentOf(await lab.tunnel(`${VIP}:80`))
  for (let i = 0; i < 64 && names.size < 2; i++) names.add((await ask(agent)).said.name)
  t.same([...names].toSorted(), ['one', 'two'])
})

t.test('connections to an endpoint are kept, and shared among clients', async (t) => {
  const lab = await startWaypointLab(t, { appProtocol: 'HTTP11' })
  const { seen } = await lab.endpoint('one', `${NET}.11`, application('one'))
  for (let i = 0; i < 5; i++) t.equal((await get(lab)).status, 200)
  t.equal(seen.length, 1, 'one CONNECT for five clients, one after the other')
})

t.test(
  'an endpoint that is gone: the request is tried elsewhere, and without another it is 503',
  async (t) => {
    const lab = await startWaypointLab(t, { appProtocol: 'HTTP11' })
    const one = await lab.endpoint('one', `${NET}.11`, application('one'))
    one.die()
    const dead = await get(lab)
    t.equal(dead.status, 503)
    await lab.endpoint('two', `${NET}.12`, application('two'))
    for (let i = 0; i < 8; i++) t.match(await get(lab), { status: 200, said: { name: 'two' } })
    await eventually('lines', () => lines(lab).length === 9)
    t.match(lines(lab)[0], { response_flags: /UF/, response_code: 503 })
  },
)

t.test('no endpoint at all: 503 no healthy upstream', async (t) => {
  const lab = await startWaypointLab(t, { appProtocol: 'HTTP11' })
  t.match(await get(lab), { status: 503, body: 'no healthy upstream' })
  await eventually('its line', () => lines(lab).length === 1)
  t.match(lines(lab)[0], { response_flags: 'UH', response_code_details: /no healthy endpoint/ })
})

t.test('who the client is: told on request, never as the client says', async (t) => {
  const forged = { 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/default/sa/admin' }
  const silent = await httpLab(t)
  t.equal((await get(silent, '/', forged)).said.headers?.['x-forwarded-client-cert'], undefined)
  silent.waypoint.close()
  const lab = await startWaypointLab(t, { appProtocol: 'HTTP11', xfcc: true })
  await lab.endpoint('telling', `${NET}.13`, application('telling'))
  t.equal(
    (await get(lab, '/', forged, CLIENT)).said.headers?.['x-forwarded-client-cert'],
    'By=spiffe://cluster.local/ns/default/sa/waypoint;URI=spiffe://cluster.local/ns/default/sa/client',
  )
})

t.test('drain: a request under way is answered, and then the connection ends', async (t) => {
  const lab = await startWaypointLab(t, { appProtocol: 'HTTP11' })
  const arrived = Promise.withResolvers<() => void>()
  const server = createServer((_request, response) => arrived.resolve(() => response.end('late')))
  await lab.endpoint('slow', `${NET}.11`, (socket) => {
    server.emit('connection', socket)
    socket.resume()
  })
  const tunnel = await lab.tunnel(`${VIP}:80`)
  const answer = ask(tunnel)
  const finish = await arrived.promise
  const drained = lab.waypoint.drain()
  finish()
  t.match(await answer, { status: 200, body: 'late' })
  await drained
  t.pass('drained')
})
