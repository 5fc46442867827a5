import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { dialHbone, type HboneRequest, pump } from '../../hbone/index.ts'
import { listenTcp, received } from '../../hbone/test-support.ts'
import type { SvidManager } from '../../identity/index.ts'
import { type AuthorizationPolicy, identityUri, type Workload, workloadIdentity } from '../../mesh/index.ts'
import { aMatch, aPolicy, aWorkload } from '../../mesh/test-support.ts'
import type { ProxySettings } from '../settings.ts'
import { hboneHandler } from './inbound-hbone.ts'
import { passthroughHandler } from './inbound-passthrough.ts'
import { connectFrom, createProxy, createSvids, serveWorkload, type TestProxy } from './test-support.ts'

const CLIENT = '127.0.1.1'
const POD = '127.0.1.2'
const WAYPOINT = '127.0.1.3'

const client = aWorkload({ name: 'client', addresses: [CLIENT] })
const waypoint = aWorkload({ name: 'waypoint', addresses: [WAYPOINT] })

interface Lab {
  readonly svids: SvidManager
  readonly proxy: TestProxy
  /** The pod's listeners: HBONE and plaintext, and the application behind them. */
  readonly ports: { readonly hbone: number; readonly plaintext: number; readonly app: number }
  /** What the waypoint was asked. */
  readonly seen: HboneRequest[]
}

/** A pod with a waypoint: the pod's proxy, its application, and a waypoint that goes back to the pod as itself. */
async function lab(t: Test, settings: Partial<ProxySettings> = {}): Promise<Lab> {
  const svids = await createSvids(t)
  const seen: HboneRequest[] = []
  const app = await listenTcp(t, (socket) => answer(socket), POD)
  const ports = { hbone: 0, plaintext: 0, app: app.port }
  const onWaypoint = (request: HboneRequest): void => {
    seen.push(request)
    void goBack(svids, ports.hbone, request)
  }
  const up = await serveWorkload(t, svids, waypoint, onWaypoint)
  const pod = aWorkload({
    name: 'pod',
    addresses: [POD],
    waypoint: { kind: 'address', network: '', address: WAYPOINT, hboneMtlsPort: up.port },
  })
  const proxy = createProxy(t, svids, pod, settings)
  proxy.mesh.upsertWorkload(client)
  proxy.mesh.upsertWorkload(waypoint)
  const onRequest = hboneHandler(proxy.deps)
  const inbound = await serveWorkload(t, svids, pod, (request) => void onRequest(request))
  const onPlaintext = passthroughHandler(proxy.deps)
  const plaintext = await listenTcp(
    t,
    (socket) => {
      const source = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
      // What the redirection would say: the client dialled the application.
      void onPlaintext({ socket, source, destination: { address: POD, port: app.port } })
    },
    POD,
  )
  Object.assign(ports, { hbone: inbound.port, plaintext: plaintext.port })
  return { svids, proxy, ports, seen }
}

/** The application: gives back all that it got, once the client has ended. */
function answer(socket: Socket): void {
  void received(socket).then((bytes) => socket.end(bytes))
}

/** What a waypoint does after its own work: HBONE to the pod, in its own name and from its own address. */
async function goBack(svids: SvidManager, port: number, request: HboneRequest): Promise<void> {
  const { host = '', port: to = 0 } = request.authority ?? {}
  try {
    const stream = await tunnelAs(svids, waypoint, port, `${host}:${to}`)
    await pump(request.accept(), stream, { sent: 0, received: 0 })
  } catch {
    request.refuse(502)
  }
}

async function tunnelAs(
  svids: SvidManager,
  workload: Workload,
  port: number,
  authority: string,
  headers = {},
) {
  const connection = await dialHbone({
    socket: connect({ host: POD, port, localAddress: workload.addresses[0] ?? '', allowHalfOpen: true }),
    svid: await svids.get(workloadIdentity(workload)),
    expectedIdentities: ['spiffe://cluster.local/ns/default/sa/pod'],
  })
  connection.onIdle = () => void connection.drain()
  return (await connection.request({ authority, headers })).stream
}

/** Plaintext, as from a client without a mesh. */
function ask(t: Test, { ports }: Lab): Promise<Buffer> {
  const socket = connectFrom(t, CLIENT, { address: POD, port: ports.plaintext })
  socket.end('hello')
  return received(socket)
}

const closedLines = ({ proxy }: Lab): Record<string, unknown>[] =>
  proxy.log.filter(({ message }) => message === 'connection complete')

t.test('plaintext that passes the waypoint by is sent through it', async (t) => {
  const mesh = await lab(t)
  t.equal(String(await ask(t, mesh)), 'hello')
  const [request] = mesh.seen
  t.equal(mesh.seen.length, 1, 'once')
  t.match(request, {
    authority: { host: POD, port: mesh.ports.app },
    peer: { identity: { serviceAccount: 'pod' } },
    headers: { clientIdentity: 'none', forwarded: new RegExp(`^for="${CLIENT}:\\d+"$`) },
  })
  t.match(request?.headers.baggage, /k8s.deployment.name=client/, 'the client that has this address')
})

t.test(
  'HBONE of a sidecar that passes the waypoint by is sent through it, with what the sidecar proved',
  async (t) => {
    const mesh = await lab(t)
    const headers = { forwarded: 'for="10.9.9.9:1";host=web.default', baggage: 'service.name=shop' }
    const stream = await tunnelAs(mesh.svids, client, mesh.ports.hbone, `${POD}:${mesh.ports.app}`, headers)
    stream.end('hello')
    t.equal(String(await received(stream)), 'hello')
    t.equal(mesh.seen.length, 1)
    t.match(mesh.seen[0]?.headers, {
      clientIdentity: identityUri(workloadIdentity(client)),
      forwarded: new RegExp(`^for="${CLIENT}:\\d+";host=web.default$`),
      baggage: 'service.name=shop',
    })
  },
)

t.test('the record of the connection names the waypoint', async (t) => {
  const mesh = await lab(t)
  await ask(t, mesh)
  const line = closedLines(mesh).find(({ waypoint }) => waypoint !== undefined)
  t.match(line, { 'dst.workload': 'pod', waypoint: new RegExp(`^${WAYPOINT}:`) })
  const opened = mesh.proxy.log.find(({ message }) => message === 'connection opened')
  t.match(opened, { route: /^waypoint-enforcement: not from the waypoint/ })
})

t.test('policy is judged before the waypoint sees anything', async (t) => {
  const mesh = await lab(t)
  mesh.proxy.mesh.upsertPolicy(denyFrom(CLIENT))
  t.equal((await ask(t, mesh)).length, 0)
  await t.rejects(tunnelAs(mesh.svids, client, mesh.ports.hbone, `${POD}:${mesh.ports.app}`), {
    message: /401/,
  })
  t.same(mesh.seen, [])
  t.match(closedLines(mesh)[0], {
    error: 'connection closed due to policy rejection: explicitly denied by: default/policy',
    verdict: `denied: explicitly denied by: default/policy, rule 1; DENY default/policy: matches; rule 1: matches; clause 1: matches; match 1: matches; sourceIps: "${CLIENT}" against ${CLIENT}/32: holds`,
  })
})

t.test('a refusal of the waypoint is passed on', async (t) => {
  const mesh = await lab(t)
  mesh.proxy.mesh.upsertPolicy(denyFrom(WAYPOINT))
  await t.rejects(tunnelAs(mesh.svids, client, mesh.ports.hbone, `${POD}:${mesh.ports.app}`), {
    message: /502/,
  })
})

t.test('a waypoint that is away is not passed by', async (t) => {
  const mesh = await lab(t)
  mesh.proxy.mesh.removeWorkload(waypoint.uid)
  t.equal((await ask(t, mesh)).length, 0)
  await t.rejects(tunnelAs(mesh.svids, client, mesh.ports.hbone, `${POD}:${mesh.ports.app}`), {
    message: /503/,
  })
  t.match(closedLines(mesh), [{ error: /^unknown waypoint/ }, { error: /^unknown waypoint/ }])
})

t.test('a waypoint that comes back from another address ends there, and does not go round', async (t) => {
  const mesh = await lab(t)
  mesh.proxy.mesh.upsertWorkload({ ...waypoint, addresses: ['127.0.1.9'] })
  const pod = mesh.proxy.mesh.workload('Kubernetes//Pod/default/pod') ?? client
  const port = pod.waypoint?.hboneMtlsPort ?? 0
  mesh.proxy.mesh.upsertWorkload({
    ...pod,
    waypoint: { kind: 'address', network: '', address: '127.0.1.9', hboneMtlsPort: port },
  })
  const translated = { ...waypoint, addresses: ['127.0.1.4'] }
  await t.rejects(tunnelAs(mesh.svids, translated, mesh.ports.hbone, `${POD}:${mesh.ports.app}`), {
    message: /503/,
  })
  t.same(mesh.seen, [])
  t.match(closedLines(mesh).at(-1), { error: /^loop: the peer proved the identity of waypoint/ })
})

t.test('WAYPOINT_ENFORCEMENT=off: straight to the application, as Istio does today (6.4)', async (t) => {
  const mesh = await lab(t, { waypointEnforcement: 'off' })
  t.equal(String(await ask(t, mesh)), 'hello')
  t.same(mesh.seen, [])
})

t.test('a policy that comes later cuts a connection at its waypoint, too', async (t) => {
  const mesh = await lab(t)
  const socket = connectFrom(t, CLIENT, { address: POD, port: mesh.ports.plaintext })
  await once(socket, 'connect')
  socket.write('hello')
  while (mesh.seen.length === 0) await new Promise(setImmediate)
  mesh.proxy.mesh.upsertPolicy(denyFrom(CLIENT))
  await received(socket)
  t.match(
    closedLines(mesh).find(({ error }) => error !== undefined),
    { error: 'connection closed due to policy change', policy: 'default/policy', rule: 1 },
  )
})

function denyFrom(address: string): AuthorizationPolicy {
  const rules = [[[aMatch({ sourceIps: [`${address}/32`] })]]]
  return aPolicy({ action: 'DENY', scope: 'NAMESPACE', rules })
}
