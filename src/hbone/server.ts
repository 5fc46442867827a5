import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { peerIdentity, verifyPeerTrustDomain } from '../identity/peer.ts'
import type { Svid } from '../identity/svid.ts'
import { type ConnectionEnds, connectionEnds } from './endpoint.ts'
import { errorText, HboneError } from './errors.ts'
import type { HboneRequest } from './request.ts'
import { ServerConnection, type ServerConnectionDump } from './server-connection.ts'
import { HANDSHAKE_TIMEOUT_MS, type HboneSettings, SESSION_LIMITS } from './settings.ts'

export interface HboneServerOptions {
  /** What we present; its roots and its trust domain decide who may connect. */
  readonly svid: Svid
  readonly settings?: HboneSettings | undefined
  /** For the TLS handshake of one connection, milliseconds. Default 10 s. */
  readonly handshakeTimeoutMs?: number | undefined
  /** Memory of one session before its new streams are refused, MB. Default 128. */
  readonly maxSessionMemory?: number | undefined
  /** Called with each CONNECT that has a valid authority. Must not throw. */
  readonly onRequest: (request: HboneRequest) => void
  /** A handshake that failed, a request that is no HBONE, or a connection that broke. */
  readonly onConnectionError: (error: HboneError, ends: ConnectionEnds) => void
}

/**
 * The server side of HBONE for one workload. Owns no listener: it is handed
 * accepted sockets, because the certificate depends on which workload a
 * connection was for, and there is no SNI to choose by.
 *
 * A client must have a certificate that our own SVID's roots vouch for, and a
 * SPIFFE id of our trust domain; nothing is read from others. A client that
 * offers no ALPN at all is taken at its word (as by ztunnel), one that offers
 * others than `h2` is refused.
 */
export class HboneServer {
  readonly #options: HboneServerOptions
  readonly #settings: HboneSettings
  readonly #tls: Server
  readonly #handshakes = new Map<string, Handshake>()
  readonly #connections = new Set<ServerConnection>()
  readonly #whenEmpty: (() => void)[] = []
  #svid: Svid
  #draining = false
  #closed = false

  constructor(options: HboneServerOptions) {
    this.#options = options
    this.#settings = options.settings ?? {}
    this.#svid = options.svid
    // The peer is checked before HTTP/2 begins, and a client without ALPN gets in.
    // Never a TLSSocket made by hand: Node then enforces no client certificate.
    this.#tls = createServer({
      ...options.svid.serverOptions(),
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: ['h2'],
    })
    this.#tls.on('secureConnection', (socket) => this.#serve(socket))
    this.#tls.on('tlsClientError', (error, socket) => this.#onTlsError(error, socket))
  }

  /** Takes over an accepted TCP socket that nobody has read from. */
  accept(socket: Socket): void {
    // Before TLS listens, and between its death and the socket's.
    socket.on('error', ignore)
    const ends = connectionEnds(socket)
    if (ends === undefined || this.#draining) {
      socket.destroy()
      return
    }
    const handshake = new Handshake(socket, ends, this.#handshakeTimeoutMs)
    const key = handshakeKey(socket)
    this.#handshakes.set(key, handshake)
    socket.once('close', () => {
      clearTimeout(handshake.timer)
      // The peer's port may be in use again by the time an old socket closes.
      if (this.#handshakes.get(key) !== handshake) return
      this.#handshakes.delete(key)
      this.#checkEmpty()
      if (!this.#closed) this.#options.onConnectionError(handshake.error ?? lostHandshake(), ends)
    })
    // TLS cannot go on after a FIN of TCP; what is above asks for no half-open socket, either.
    socket.allowHalfOpen = false
    this.#tls.emit('connection', socket)
  }

  /** From now on new connections get this SVID; live ones keep theirs. */
  rotate(svid: Svid): void {
    this.#svid = svid
    this.#tls.setSecureContext(svid.serverOptions())
  }

  /**
   * Tells all peers to go elsewhere, refuses new connections, and resolves
   * when the last stream has ended. Whoever connected before may finish the
   * handshake, and is told then. There is no deadline: call `close()` then.
   */
  drain(): Promise<void> {
    this.#draining = true
    for (const connection of this.#connections) void connection.drain()
    return new Promise((resolve) => {
      this.#whenEmpty.push(resolve)
      this.#checkEmpty()
    })
  }

  /** Ends all connections at once. */
  close(): void {
    this.#draining = true
    this.#closed = true
    for (const { socket } of this.#handshakes.values()) socket.destroy()
    for (const connection of this.#connections) connection.close()
  }

  /** The live connections, for a dump. */
  sessions(): ServerConnectionDump[] {
    return Array.from(this.#connections, (connection) => connection.dump())
  }

  get #handshakeTimeoutMs(): number {
    return this.#options.handshakeTimeoutMs ?? this.#settings.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS
  }

  /** TLS is up and the certificate is good. */
  #serve(socket: TLSSocket): void {
    const key = handshakeKey(socket)
    const handshake = this.#handshakes.get(key)
    if (handshake === undefined || this.#closed) {
      socket.destroy()
      return
    }
    const certificate = socket.getPeerX509Certificate()
    const problem =
      certificate === undefined
        ? new Error('peer sent no certificate')
        : verifyPeerTrustDomain(certificate, this.#svid.id.trustDomain)
    if (certificate === undefined || problem !== undefined) {
      handshake.error = new HboneError('identity', `tls handshake error: ${errorText(problem)}`, {
        cause: problem,
      })
      socket.destroy()
      return
    }
    this.#handshakes.delete(key)
    clearTimeout(handshake.timer)
    // TCP below may be half-open; HTTP/2 never is, and would not notice the peer's FIN.
    socket.allowHalfOpen = false
    // After an alert nothing can be sent any more, and TLS would wait for its last bytes to leave.
    socket.on('error', () => handshake.socket.destroy())
    const { maxSessionMemory } = this.#options
    const connection = new ServerConnection({
      tls: socket,
      limits:
        maxSessionMemory === undefined
          ? SESSION_LIMITS
          : { ...SESSION_LIMITS, maxHeldBytes: maxSessionMemory * 1_000_000 },
      socket: handshake.socket,
      ends: handshake.ends,
      identity: peerIdentity(certificate),
      settings: this.#settings,
      onRequest: this.#options.onRequest,
      onError: this.#options.onConnectionError,
      onClose: (closed) => {
        this.#connections.delete(closed)
        this.#checkEmpty()
      },
    })
    this.#connections.add(connection)
    if (this.#draining) void connection.drain()
  }

  #checkEmpty(): void {
    if (this.#connections.size + this.#handshakes.size > 0) return
    for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  #onTlsError(error: Error, socket: TLSSocket): void {
    // The key is known as long as the peer is still there; a peer that is gone
    // is reported when its socket closes.
    const handshake = this.#handshakes.get(handshakeKey(socket))
    if (handshake !== undefined) {
      handshake.error ??= new HboneError('tls', `tls handshake error: ${tlsText(error)}`, { cause: error })
    }
    // Node leaves that to the listener.
    socket.destroy()
  }
}

/** A connection whose TLS is not up yet. */
class Handshake {
  readonly socket: Socket
  readonly ends: ConnectionEnds
  readonly timer: NodeJS.Timeout
  error: HboneError | undefined

  constructor(socket: Socket, ends: ConnectionEnds, timeoutMs: number) {
    this.socket = socket
    this.ends = ends
    // Our own: Node's handshakeTimeout only reports, and leaves the socket open.
    this.timer = setTimeout(() => {
      this.error = new HboneError('handshake-timeout', `tls handshake error: not done in ${timeoutMs} ms`)
      socket.destroy()
    }, timeoutMs)
    this.timer.unref()
  }
}

/** Unique among live connections, and the same for a TLS socket and the one below it. */
function handshakeKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`
}

/**
 * Node closes the connection of a client whose certificate does not verify
 * without a word to anybody: the address is gone when the error comes.
 */
function lostHandshake(): HboneError {
  return new HboneError(
    'tls',
    'tls handshake error: connection closed before the handshake was done: the peer went away, ' +
      'or its certificate is expired or not signed by a root that this workload trusts',
  )
}

/** OpenSSL's reason without its thread id, file and line. */
function tlsText(error: Error): string {
  return 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
}

function ignore(): void {}
