import { X509Certificate } from 'node:crypto'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { peerIdentity, verifyServerIdentity } from '../identity/peer.ts'
import { formatSpiffeId } from '../identity/spiffe-id.ts'
import type { Svid } from '../identity/svid.ts'
import type { Cancellation } from './cancellation.ts'
import { HboneConnection } from './connection.ts'
import { withDeadline } from './deadline.ts'
import { errorText, HboneError } from './errors.ts'
import { Http2Session } from './h2/session.ts'
import {
  CONNECT_TIMEOUT_MS,
  CONNECTION_WINDOW_SIZE,
  clientSettings,
  HANDSHAKE_TIMEOUT_MS,
  type HboneSettings,
  SESSION_LIMITS,
} from './settings.ts'

export interface DialOptions {
  /**
   * Connecting or connected, to the peer's 15008; opened by the caller in the
   * right network namespace. Or another tunnel's stream. Owned from here on.
   */
  readonly socket: Duplex
  /** What we present; its roots decide which servers are believed. */
  readonly svid: Svid
  /** Full SPIFFE URIs, of which the server must prove one. With none, every server is refused. */
  readonly expectedIdentities: readonly string[]
  readonly settings?: HboneSettings | undefined
  /** Gives the dial up; has no effect on the connection afterwards. */
  readonly signal?: Cancellation | undefined
}

/**
 * Brings up one HBONE connection: TCP, TLS 1.3 without SNI, HTTP/2, and the
 * peer's SETTINGS. Only those prove that the peer has taken our certificate: in
 * TLS 1.3 a client is done before the server has looked at it.
 *
 * Rejects with `HboneError`: `connect-failed`, `connect-timeout`, `tls`,
 * `identity`, `http2`, `handshake-timeout`; or with the signal's reason. The
 * socket is destroyed then.
 */
export async function dialHbone(options: DialOptions): Promise<HboneConnection> {
  const { socket, settings = {}, signal } = options
  // While nobody waits, and after a failed dial.
  socket.on('error', ignore)
  try {
    await connected(socket, settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS, signal)
    return await handshake(options, settings)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function connected(socket: Duplex, ms: number, signal: Cancellation | undefined): Promise<void> {
  // Not readyState: that is 'open' for a socket that was never connected, too.
  if (!(socket instanceof Socket && socket.pending) && !socket.destroyed) return Promise.resolve()
  return withDeadline<void>(
    { ms, signal, error: () => timedOut(`no answer in ${ms} ms`) },
    (resolve, reject) => {
      const onError = (error: Error): void => reject(connectError(error))
      const onClose = (): void => reject(connectError(new Error('socket closed')))
      if (socket.destroyed) queueMicrotask(onClose)
      socket.once('connect', resolve).once('error', onError).once('close', onClose)
      return () => socket.off('connect', resolve).off('error', onError).off('close', onClose)
    },
  )
}

/** TLS and HTTP/2, within one deadline. */
function handshake(options: DialOptions, settings: HboneSettings): Promise<HboneConnection> {
  const { socket, signal } = options
  const ms = settings.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS
  const error = (): HboneError =>
    new HboneError('handshake-timeout', `io error: connected, but TLS and HTTP/2 were not up in ${ms} ms`)
  let session: Http2Session | undefined
  return withDeadline<HboneConnection>({ ms, error, signal }, (resolve, reject) => {
    const tls = startTls(options)
    tls.on('error', (cause) => reject(tlsError(cause)))
    tls.once('close', () => reject(closedEarly()))
    tls.once('secureConnect', () => {
      if (tls.alpnProtocol !== 'h2') {
        return reject(new HboneError('http2', 'http2 handshake failed: peer did not agree to ALPN h2'))
      }
      const started = startHttp2(tls, socket, settings)
      session = started
      started.onClose = (cause) => {
        if (cause !== undefined) reject(http2Error(cause))
      }
      started.onSettings = () => {
        // Those that follow change what the session keeps to, and nothing else.
        started.onSettings = ignore
        resolve(new HboneConnection({ session: started, socket, settings, ...peerOf(tls) }))
      }
    })
    // The listeners stay: nothing may throw for want of one, and settling twice does nothing.
    return () => {}
  }).catch((reason: unknown) => {
    session?.destroy()
    throw reason
  })
}

function startTls({ socket, svid, expectedIdentities }: DialOptions): TLSSocket {
  const tls = connectTls({
    socket,
    secureContext: svid.clientContext(),
    ALPNProtocols: ['h2'],
    rejectUnauthorized: true,
    // In place of the check of DNS names; Node calls it once the chain is verified.
    checkServerIdentity: (_host, { raw }) =>
      verifyServerIdentity(new X509Certificate(raw), expectedIdentities),
  })
  // TCP below may be half-open; HTTP/2 never is, and would not notice the peer's FIN.
  tls.allowHalfOpen = false
  // After an alert nothing can be sent any more, and TLS would wait for its last bytes to leave.
  tls.on('error', () => socket.destroy())
  return tls
}

function startHttp2(tls: TLSSocket, socket: Duplex, settings: HboneSettings): Http2Session {
  return new Http2Session({
    socket: tls,
    isKernelSocket: socket instanceof Socket,
    role: 'client',
    settings: clientSettings(settings),
    connectionWindowSize: settings.connectionWindowSize ?? CONNECTION_WINDOW_SIZE,
    limits: SESSION_LIMITS,
  })
}

function peerOf(tls: TLSSocket): { peerIdentity: string } {
  const certificate = tls.getPeerX509Certificate()
  const id = certificate === undefined ? undefined : peerIdentity(certificate)
  return { peerIdentity: id === undefined ? '' : formatSpiffeId(id) }
}

function connectError(error: Error): HboneError {
  if ('code' in error && error.code === 'ETIMEDOUT') return timedOut(error.message, error)
  return new HboneError('connect-failed', `io error: ${error.message}`, { cause: error })
}

function timedOut(why: string, cause?: Error): HboneError {
  return new HboneError(
    'connect-timeout',
    `connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: ${why}`,
    { cause },
  )
}

/** ztunnel reports a failed TLS handshake of the client side as an I/O error. */
function tlsError(error: Error): HboneError {
  // We are done before the peer has looked at our certificate, and may write to one that has closed already.
  if ('code' in error && CLOSED.has(String(error.code))) return closedEarly(error)
  const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
  const mismatch = error.name === 'IdentityError'
  return new HboneError(mismatch ? 'identity' : 'tls', `io error: ${reason}`, { cause: error })
}

function http2Error(error: unknown): HboneError {
  return new HboneError('http2', `http2 handshake failed: ${errorText(error)}`, { cause: error })
}

const CLOSED: ReadonlySet<string> = new Set(['EPIPE', 'ECONNRESET'])

function closedEarly(cause?: Error): HboneError {
  return new HboneError(
    'tls',
    'io error: peer closed the connection during the handshake: maybe it does not accept our certificate; ' +
      'see the log of the peer, and compare the roots of both',
    { cause },
  )
}

function ignore(): void {}
