import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { listenTcp, received } from '../../hbone/test-support.ts'
import { MeshStore, type SocketAddress, type Workload } from '../../mesh/index.ts'
import { aService, aWorkload } from '../../mesh/test-support.ts'
import { createLocalWorkload, type LocalWorkload } from './local-workload.ts'
import { type OutboundDependencies, outboundHandler } from './outbound.ts'
import { connectFrom, createProxy, createSvids, serveWorkload, type TestProxy } from './test-support.ts'

const CLIENT = '127.0.3.1'
const SERVER = '127.0.3.2'
const client = aWorkload({ name: 'client', addresses: [CLIENT] })

interface Capture {
  readonly proxy: TestProxy
  /** The application's socket, as if it had dialled `destination`. */
  connect(destination: SocketAddress): Socket
}

async function capture(
  t: Test,
  workload: Workload = client,
  changes: (proxy: TestProxy) => Partial<OutboundDependencies> = () => ({}),
): Promise<Capture> {
  const proxy = createProxy(t, await createSvids(t), workload)
  const handle = outboundHandler({ ...proxy.deps, ...changes(proxy) })
  const wanted: SocketAddress[] = []
  // Paused as the capture does it: what the client sends stays in the kernel until it has somewhere to go.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {})
    const source = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
    void handle({ socket, source, destination: wanted.shift() ?? { address: '', port: 0 } })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return {
    proxy,
    connect(destination) {
      wanted.push(destination)
      return connectFrom(t, CLIENT, { address: '127.0.0.1', port })
    },
  }
}

/** How the application's socket ends: with FIN, or the error of an RST. */
async function ending(socket: Socket): Promise<string> {
  const failed = once(socket, 'error').then(([error]) => String((error as NodeJS.ErrnoException).code))
  return Promise.race([failed, received(socket).then(() => failedOr(socket, 'FIN'))])
}

const failedOr = (socket: Socket, end: string): string =>
  socket.errored === null ? end : String((socket.errored as NodeJS.ErrnoException).code)

const echo = (socket: Socket): void => void received(socket).then((bytes) => socket.end(bytes))

t.test(
  'an address that the mesh does not know is reached plainly, without a destination workload (3.8, 3.17)',
  async (t) => {
    const { port } = await listenTcp(t, echo, SERVER)
    const { proxy, connect } = await capture(t)
    const socket = connect({ address: SERVER, port })
    socket.end('hello')
    t.equal(String(await received(socket)), 'hello')
    const line = proxy.log.find(({ message }) => message === 'connection complete')
    t.match(line, { direction: 'outbound', 'dst.addr': `${SERVER}:${port}`, bytes_sent: 5, bytes_recv: 5 })
    t.notOk(line !== undefined && ('dst.workload' in line || 'src.identity' in line))
  },
)

t.test('our own ports on loopback are refused before anything is counted (3.2)', async (t) => {
  const { proxy, connect } = await capture(t)
  t.equal(await ending(connect({ address: '127.0.0.1', port: 15_001 })), 'FIN')
  t.match(proxy.log, [
    { message: 'connection failed', level: 'warn', error: 'attempted recursive call to ourselves' },
  ])
})

t.test(
  'a client that has sent bytes learns of a failure by RST, one that has not by FIN (3.18)',
  async (t) => {
    const arrived = Promise.withResolvers<void>()
    const patient: LocalWorkload = {
      info: client,
      peek: () => client,
      // The bytes are in our kernel by then.
      get: () => arrived.promise.then(() => client),
    }
    const { proxy, connect } = await capture(t, client, () => ({ local: patient }))
    proxy.mesh.upsertService(aService())
    const silent = connect({ address: '10.96.0.1', port: 80 })
    const eager = connect({ address: '10.96.0.1', port: 80 })
    await new Promise<void>((resolve) => void eager.write('hello', () => resolve()))
    arrived.resolve()
    t.same(await Promise.all([ending(silent), ending(eager)]), ['FIN', 'ECONNRESET'])
    t.match(proxy.log[0], { error: /^no healthy upstream: 10\.96\.0\.1:80/ })
  },
)

t.test('a connection is recorded before it is dialled, and its failure after (3.16)', async (t) => {
  const { proxy, connect } = await capture(t)
  const { port, server } = await listenTcp(t, echo, SERVER)
  server.close()
  await once(server, 'close')
  await ending(connect({ address: SERVER, port }))
  t.match(proxy.log, [
    { message: 'connection opened' },
    { message: 'connection complete', level: 'error', error: /^connection failed: .*ECONNREFUSED/ },
  ])
})

t.test('a connection waits for the control plane to deliver its own workload (3.3)', async (t) => {
  const { port } = await listenTcp(t, echo, SERVER)
  const asked: string[] = []
  const mesh = new MeshStore()
  const local = createLocalWorkload(mesh, client, () => {
    asked.push('asked')
    setImmediate(() => mesh.upsertWorkload(client))
  })
  const { connect } = await capture(t, client, () => ({ local }))
  const socket = connect({ address: SERVER, port })
  socket.end('hello')
  t.equal(String(await received(socket)), 'hello')
  t.same(asked, ['asked'])
})

t.test(
  'the source is the pod of the listener, whatever address the connection comes from (3.3, surprise 4)',
  async (t) => {
    const svids = await createSvids(t)
    const peers: (string | undefined)[] = []
    const server = aWorkload({ name: 'server', addresses: [SERVER] })
    const { port } = await serveWorkload(t, svids, server, (request) => {
      peers.push(request.peer.identity?.serviceAccount)
      const stream = request.accept()
      void received(stream).then((bytes) => stream.end(bytes))
    })
    const { proxy, connect } = await capture(t, client, ({ deps }) => ({ svids, pool: deps.pool }))
    // Somebody else has the address in the mesh: it says who was there yesterday.
    proxy.mesh.upsertWorkload(aWorkload({ name: 'other', addresses: ['127.0.3.1'] }))
    const waypoint = { kind: 'address', network: '', address: SERVER, hboneMtlsPort: port } as const
    proxy.mesh.upsertWorkload(server)
    proxy.mesh.upsertWorkload(aWorkload({ name: 'behind', addresses: ['127.0.3.4'], waypoint }))
    const socket = connect({ address: '127.0.3.4', port: 80 })
    socket.end('hello')
    t.equal(String(await received(socket)), 'hello')
    t.same(peers, ['client'])
  },
)
