import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { createInMemoryCa } from '../identity/ca-create.ts'
import { CertificateAuthority } from '../identity/certificate-authority.ts'
import type { Svid } from '../identity/svid.ts'
import type { ConnectionEnds } from './endpoint.ts'
import type { HboneError } from './errors.ts'
import { HbonePool, type HbonePoolOptions } from './pool.ts'
import type { PoolTarget } from './pool-target.ts'
import { pump } from './pump.ts'
import type { HboneRequest } from './request.ts'
import { HboneServer, type HboneServerOptions } from './server.ts'

export const CLIENT = 'spiffe://cluster.local/ns/app/sa/client'
export const SERVER = 'spiffe://cluster.local/ns/app/sa/server'

/** A CA, and SVIDs of it. */
export interface TestMesh {
  issue(serviceAccount: string, trustDomain?: string): Promise<Svid>
}

export async function createMesh(): Promise<TestMesh> {
  const authority = new CertificateAuthority(await createInMemoryCa())
  return {
    issue: (serviceAccount, trustDomain = 'cluster.local') =>
      authority.issueSvid({ trustDomain, namespace: 'app', serviceAccount }, 3600),
  }
}

export interface Listening {
  readonly port: number
  readonly server: Server
}

/** A TCP server on loopback whose sockets stay half-open; closed with its sockets when the test ends. */
export async function listenTcp(
  t: Test,
  onSocket: (socket: Socket) => void,
  address = '127.0.0.1',
): Promise<Listening> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  server.listen(0, address)
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { server, port: (server.address() as AddressInfo).port }
}

/** A connected client socket, half-open, never crashing. */
export async function dialTcp(t: Test, port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Both ends of a TCP connection: what we hold, and what the other program holds. */
export async function tcpPair(t: Test): Promise<{ ours: Socket; theirs: Socket }> {
  const accepted: Socket[] = []
  const { port, server } = await listenTcp(t, (socket) => accepted.push(socket))
  const theirs = await dialTcp(t, port)
  while (accepted.length === 0) await once(server, 'connection')
  const ours = accepted[0]
  if (ours === undefined) throw new Error('no socket was accepted')
  return { ours, theirs }
}

export interface ServedHbone {
  readonly port: number
  readonly hbone: HboneServer
  readonly errors: { error: HboneError; ends: ConnectionEnds }[]
  /** Raw sockets of all tunnel connections, in order. */
  readonly sockets: Socket[]
}

/** An HBONE server behind a TCP listener on loopback. */
export async function serveHbone(
  t: Test,
  svid: Svid,
  onRequest: (request: HboneRequest) => void,
  options: Partial<HboneServerOptions> = {},
): Promise<ServedHbone> {
  const errors: ServedHbone['errors'] = []
  const sockets: Socket[] = []
  const hbone = new HboneServer({
    svid,
    onRequest,
    onConnectionError: (error, ends) => errors.push({ error, ends }),
    ...options,
  })
  const { port } = await listenTcp(t, (socket) => {
    sockets.push(socket)
    hbone.accept(socket)
  })
  t.teardown(() => hbone.close())
  return { port, hbone, errors, sockets }
}

/** What a proxy does inbound: every request becomes a TCP connection to this port. */
export function forwardTo(port: number): (request: HboneRequest) => void {
  return (request) => {
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    upstream.once('error', () => request.refuse(503))
    upstream.once('connect', () => void pump(request.acceptTunnel(), upstream, { sent: 0, received: 0 }))
  }
}

/** A pool that is closed when the test ends. */
export function createPool(t: Test, options: Partial<HbonePoolOptions> = {}): HbonePool {
  const pool = new HbonePool({
    connect: ({ address, port }) => connect({ host: address, port, allowHalfOpen: true }),
    ...options,
  })
  t.teardown(() => pool.close())
  return pool
}

/** The default client's view of a server on loopback. */
export function targetOf(port: number, svid: Svid, changes: Partial<PoolTarget> = {}): PoolTarget {
  return {
    sourceIdentity: CLIENT,
    svid: () => Promise.resolve(svid),
    destinationIdentities: [SERVER],
    address: '127.0.0.1',
    port,
    sourceAddress: '127.0.0.1',
    ...changes,
  }
}

export const REQUEST = { authority: '10.0.0.1:80', headers: {} }

/** Waits, turn by turn of the event loop, until it holds; fails after ten seconds. */
export async function eventually(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never came true: ${what}`)
    await new Promise(setImmediate)
  }
}

/**
 * Client application, outbound proxy, inbound proxy, server application: a TCP
 * connection to `port` comes out at `onApp`.
 */
export async function tunnel(
  t: Test,
  onApp: (socket: Socket) => void,
): Promise<{ port: number; served: ServedHbone; pool: HbonePool }> {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const app = await listenTcp(t, onApp)
  const served = await serveHbone(t, await mesh.issue('server'), forwardTo(app.port))
  const pool = createPool(t)
  const outbound = await listenTcp(t, (socket) => {
    socket.pause()
    pool.open(targetOf(served.port, client), { authority: `127.0.0.1:${app.port}`, headers: {} }).then(
      ({ tunnel }) => void pump(socket, tunnel, { sent: 0, received: 0 }),
      () => socket.destroy(),
    )
  })
  return { port: outbound.port, served, pool }
}

/** What a stream received, once its readable side has ended or it is gone. The writable side stays open. */
export function received(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  return new Promise((resolve) => {
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    const done = (): void => resolve(Buffer.concat(chunks))
    stream.once('end', done).once('close', done)
  })
}
