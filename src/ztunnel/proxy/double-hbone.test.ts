import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { type HboneRequest, pump } from '../../hbone/index.ts'
import { listenTcp, received } from '../../hbone/test-support.ts'
import { identityUri, serviceKey, workloadIdentity } from '../../mesh/index.ts'
import { aPort, aService, aWorkload } from '../../mesh/test-support.ts'
import { outboundHandler } from './outbound.ts'
import { connectFrom, createProxy, createSvids, serveWorkload, type TestProxy } from './test-support.ts'

const CLIENT = '127.0.2.1'
const GATEWAY = '127.0.2.3'
const VIP = { address: '10.96.0.1', port: 80 }

const client = aWorkload({ name: 'client', addresses: [CLIENT], network: 'near' })
const gateway = aWorkload({ name: 'gateway', addresses: [GATEWAY], network: 'near' })
const far = aWorkload({ name: 'far', addresses: ['127.0.2.4'], network: 'far' })

interface Mesh {
  readonly proxy: TestProxy
  readonly outer: HboneRequest[]
  readonly inner: HboneRequest[]
  /** A connection of the client to the service, as the capture gives it to the proxy. */
  open(): Promise<Socket>
}

/** Two networks: a client in one, the service's endpoint in the other, and the gateway between them. */
async function twoNetworks(t: Test, responseBaggage: string | undefined): Promise<Mesh> {
  const svids = await createSvids(t)
  const outer: HboneRequest[] = []
  const inner: HboneRequest[] = []
  const endpoint = await serveWorkload(t, svids, far, (request) => {
    inner.push(request)
    const stream = request.accept(responseBaggage === undefined ? {} : { baggage: responseBaggage })
    void received(stream).then((bytes) => stream.end(bytes))
  })
  const relay = await serveWorkload(t, svids, gateway, (request) => {
    outer.push(request)
    const onward = connect({ host: far.addresses[0] ?? '', port: endpoint.port, allowHalfOpen: true })
    onward.once('connect', () => void pump(request.accept(), onward, { sent: 0, received: 0 }))
  })
  const proxy = createProxy(t, svids, client, { network: 'near' })
  const service = aService({
    addresses: [{ network: 'near', address: VIP.address }],
    subjectAltNames: [identityUri(workloadIdentity(far))],
    ports: [aPort(80, 8080)],
  })
  const networkGateway = {
    kind: 'address',
    network: 'near',
    address: GATEWAY,
    hboneMtlsPort: relay.port,
  } as const
  proxy.mesh.upsertService(service)
  proxy.mesh.upsertWorkload(gateway)
  proxy.mesh.upsertWorkload({ ...far, networkGateway, services: new Map([[serviceKey(service), []]]) })
  const handle = outboundHandler(proxy.deps)
  const capture = await listenTcp(t, (socket) => {
    const source = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
    void handle({ socket, source, destination: VIP })
  })
  return {
    proxy,
    outer,
    inner,
    open: async () => connectFrom(t, CLIENT, { address: '127.0.0.1', port: capture.port }),
  }
}

async function echo(mesh: Mesh): Promise<string> {
  const socket = await mesh.open()
  socket.end('hello')
  return String(await received(socket))
}

t.test(
  'both CONNECTs ask for the service, and only the inner one says which network the client is in (3.9, 4.3)',
  async (t) => {
    const mesh = await twoNetworks(t, 'k8s.namespace.name=other,k8s.deployment.name=web')
    t.equal(await echo(mesh), 'hello')
    const [outer] = mesh.outer
    const [inner] = mesh.inner
    const authority = { host: 'server.default.svc.cluster.local', port: 80 }
    t.match(outer, { authority, peer: { identity: { serviceAccount: 'client' } } })
    t.equal(outer?.headers.xForwardedNetwork, undefined)
    t.match(inner, { authority, peer: { identity: { serviceAccount: 'client' } } })
    t.equal(inner?.headers.xForwardedNetwork, 'near')
    t.equal(inner?.headers.traceparent, outer?.headers.traceparent, 'one trace')
    t.match(inner?.headers.forwarded, /^for="127\.0\.2\.1:\d+";host=server\.default\.svc\.cluster\.local$/)
    t.match(inner?.headers.baggage, /k8s\.deployment\.name=client/)
  },
)

t.test('the record names who answered, as far as that one says (4.3)', async (t) => {
  const mesh = await twoNetworks(t, 'k8s.cluster.name=c2,k8s.namespace.name=other,service.name=web')
  await echo(mesh)
  const line = mesh.proxy.log.find(({ message }) => message === 'connection complete')
  t.match(line, {
    'src.workload': 'client',
    'dst.addr': new RegExp(`^${GATEWAY}:`),
    'dst.hbone_addr': 'server.default.svc.cluster.local:80',
    'dst.service': 'server.default.svc.cluster.local',
    'dst.workload': 'web',
    'dst.namespace': 'other',
    'dst.cluster': 'c2',
    'dst.identity': identityUri(workloadIdentity(far)),
    bytes_sent: 5,
    bytes_recv: 5,
  })
})

t.test('the record names the gateway where nobody says more', async (t) => {
  const mesh = await twoNetworks(t, undefined)
  await echo(mesh)
  t.match(
    mesh.proxy.log.find(({ message }) => message === 'connection complete'),
    { 'dst.workload': 'gateway' },
  )
})

t.test('a failure is recorded, too, though nobody answered (3.16)', async (t) => {
  const mesh = await twoNetworks(t, undefined)
  const service = mesh.proxy.mesh.service('default/server.default.svc.cluster.local')
  const subjectAltNames = ['spiffe://cluster.local/ns/default/sa/other']
  if (service !== undefined) mesh.proxy.mesh.upsertService({ ...service, subjectAltNames })
  t.equal(await echo(mesh), '')
  const lines = mesh.proxy.log.map(({ message }) => message)
  t.same(lines, ['connection opened', 'connection complete'])
  t.match(mesh.proxy.log.at(-1), { error: /identity verification error/, 'dst.workload': 'gateway' })
})
