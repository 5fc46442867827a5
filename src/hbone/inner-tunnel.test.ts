import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import type { HboneStream } from './connection.ts'
import { HboneError } from './errors.ts'
import type { TunnelStream } from './h2/stream.ts'
import { CLIENT_IDENTITY_HEADER, FORWARDED_NETWORK_HEADER } from './headers.ts'
import { openInnerTunnel } from './inner-tunnel.ts'
import type { HbonePool } from './pool.ts'
import { pump } from './pump.ts'
import type { HboneRequest } from './request.ts'
import {
  createMesh,
  createPool,
  eventually,
  forwardTo,
  listenTcp,
  received,
  SERVER,
  type ServedHbone,
  serveHbone,
  targetOf,
} from './test-support.ts'

const GATEWAY = 'spiffe://cluster.local/ns/app/sa/gateway'
const AUTHORITY = 'server.app.svc.cluster.local:80'

interface TwoNetworks {
  readonly pool: HbonePool
  readonly gateway: ServedHbone
  readonly far: ServedHbone
  readonly outerRequests: HboneRequest[]
  readonly outerStreams: TunnelStream[]
  readonly innerRequests: HboneRequest[]
  open(expected?: readonly string[], signal?: AbortSignal): Promise<HboneStream>
}

/** A client, a gateway that ends the outer tunnel and relays what is in it, and an endpoint behind it. */
async function twoNetworks(t: Test, onApp: (socket: Socket) => void): Promise<TwoNetworks> {
  const mesh = await createMesh()
  const svid = await mesh.issue('client')
  const app = await listenTcp(t, onApp)
  const outerRequests: HboneRequest[] = []
  const innerRequests: HboneRequest[] = []
  const toApp = forwardTo(app.port)
  const far = await serveHbone(t, await mesh.issue('server'), (request) => {
    innerRequests.push(request)
    toApp(request)
  })
  const outerStreams: TunnelStream[] = []
  const gateway = await serveHbone(t, await mesh.issue('gateway'), (request) => {
    outerRequests.push(request)
    const upstream = connect({ port: far.port, host: '127.0.0.1', allowHalfOpen: true })
    upstream.once('connect', () => {
      const outer = request.acceptTunnel()
      outerStreams.push(outer)
      void pump(outer, upstream, { sent: 0, received: 0 })
    })
  })
  const pool = createPool(t)
  const target = targetOf(gateway.port, svid, { destinationIdentities: [GATEWAY] })
  return {
    pool,
    gateway,
    far,
    outerRequests,
    outerStreams,
    innerRequests,
    async open(expected = [SERVER], signal) {
      const outer = await pool.open(target, { authority: AUTHORITY, headers: {} }, signal)
      const headers = { [FORWARDED_NETWORK_HEADER]: 'here', [CLIENT_IDENTITY_HEADER]: 'none' }
      return openInnerTunnel(outer.stream, {
        svid,
        expectedIdentities: expected,
        request: { authority: AUTHORITY, headers },
        signal,
      })
    },
  }
}

const streamsOf = ({ pool }: TwoNetworks): number =>
  pool.dump().reduce((sum, { streams }) => sum + streams, 0)

t.test('what goes in at one end comes out at the other, and each half closes for itself (4.5)', async (t) => {
  const sent = randomBytes(4 * 1024 * 1024)
  const networks = await twoNetworks(t, (socket) => {
    // Answers only after it has seen the FIN: a true half-close.
    void received(socket).then((all) => socket.end(all))
  })
  const { stream, peerIdentity } = await networks.open()
  t.equal(peerIdentity, SERVER, 'the far endpoint, not the gateway, has proved who it is')
  stream.end(sent)
  t.ok((await received(stream)).equals(sent))
  await eventually('the gateway has the outer stream back', () => streamsOf(networks) === 0)
  t.match(networks.pool.dump(), [{ state: 'open' }], 'and the outer tunnel is kept for the next one')
})

t.test('the last bytes before an end are not lost (4.5)', async (t) => {
  const last = randomBytes(300_000)
  const networks = await twoNetworks(t, (socket) => {
    socket.resume()
    socket.end(last)
  })
  for (let i = 0; i < 5; i++) {
    const { stream } = await networks.open()
    const answer = received(stream)
    stream.end('question')
    t.ok((await answer).equals(last))
  }
})

t.test('the outer stream ends and is not reset, so that nothing sent last is lost (4.5)', async (t) => {
  const heard: Promise<Buffer>[] = []
  const networks = await twoNetworks(t, (socket) => {
    heard.push(received(socket))
    socket.end('greeting')
  })
  for (const size of [100, 100_000, 4_000_000]) {
    const { stream } = await networks.open()
    t.equal((await received(stream)).toString(), 'greeting')
    stream.end(randomBytes(size))
    t.equal((await heard.at(-1))?.length, size)
    const outer = networks.outerStreams.at(-1)
    await eventually('the outer stream is over', () => outer?.closed === true)
    t.equal(outer?.remoteEnded, true, 'it was not cut')
  }
})

t.test('every connection has an inner tunnel of its own, and they share the outer one (4.5)', async (t) => {
  const networks = await twoNetworks(t, (socket) => socket.pipe(socket))
  await Promise.all([networks.open(), networks.open(), networks.open()])
  t.equal(networks.gateway.sockets.length, 1)
  t.equal(networks.far.hbone.sessions().length, 3)
  t.match(networks.outerRequests[0]?.peer.identity, { serviceAccount: 'client' })
  t.match(networks.innerRequests[0]?.peer.identity, { serviceAccount: 'client' })
  t.match(networks.innerRequests[0]?.headers, { xForwardedNetwork: 'here', clientIdentity: 'none' })
})

t.test(
  'an endpoint that proves to be somebody else is refused, and the outer stream let go (3.9)',
  async (t) => {
    const networks = await twoNetworks(t, (socket) => socket.pipe(socket))
    const other = ['spiffe://cluster.local/ns/app/sa/other']
    await t.rejects(networks.open(other), { code: 'identity' })
    await t.rejects(networks.open([]), { code: 'identity' }, 'with nobody to expect, nobody is believed')
    await eventually('the outer streams are gone', () => streamsOf(networks) === 0)
  },
)

t.test('a gateway that dies ends the inner tunnel', async (t) => {
  const networks = await twoNetworks(t, (socket) => socket.pipe(socket))
  const { stream } = await networks.open()
  const end = received(stream)
  for (const socket of networks.gateway.sockets) socket.destroy()
  await end
  t.ok(stream.destroyed || stream.readableEnded)
})

t.test('a gateway that says nothing is given up when the caller gives up', async (t) => {
  const mesh = await createMesh()
  const gateway = await serveHbone(t, await mesh.issue('gateway'), (request) => void request.accept())
  const pool = createPool(t)
  const target = targetOf(gateway.port, await mesh.issue('client'), { destinationIdentities: [GATEWAY] })
  const outer = await pool.open(target, { authority: AUTHORITY, headers: {} })
  const abort = new AbortController()
  const inner = openInnerTunnel(outer.stream, {
    svid: await mesh.issue('client'),
    expectedIdentities: [SERVER],
    request: { authority: AUTHORITY, headers: {} },
    signal: abort.signal,
  })
  abort.abort(new HboneError('aborted', 'enough'))
  await t.rejects(inner, { message: 'enough' })
  await eventually('the outer stream is gone', () => pool.dump().every(({ streams }) => streams === 0))
})
