import { STATUS_CODES } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Cancellation } from './cancellation.ts'
import { withDeadline } from './deadline.ts'
import { type ConnectionEnds, connectionEnds } from './endpoint.ts'
import { errorCode, errorText, HboneError } from './errors.ts'
import { startKeepalive } from './keepalive.ts'
import { closeSession, endSession } from './session-close.ts'
import { type HboneSettings, RESPONSE_TIMEOUT_MS } from './settings.ts'

/** A CONNECT to send. */
export interface ConnectRequest {
  /** `ip:port`, `[v6]:port` or `hostname:port`. */
  readonly authority: string
  readonly headers: Readonly<Record<string, string>>
}

/** A tunnel: a CONNECT that was answered with 200. */
export interface HboneStream {
  /** The tunnel's bytes. Nothing of them is read yet. */
  readonly stream: ClientHttp2Stream
  /** Of the answer. */
  readonly headers: { readonly baggage?: string }
  /** Full SPIFFE URI that the peer proved. */
  readonly peerIdentity: string
  /** The TCP connection below; undefined when that is gone already, and within another tunnel. */
  readonly connection: ConnectionEnds | undefined
}

export interface HboneConnectionOptions {
  readonly session: ClientHttp2Session
  /** What it runs on: a TCP socket, or a stream of another tunnel. */
  readonly socket: Duplex
  readonly settings: HboneSettings
  readonly peerIdentity: string
}

/** One HTTP/2 connection to a peer that proved its identity. */
export class HboneConnection {
  readonly peerIdentity: string
  readonly ends: ConnectionEnds | undefined
  /** Called each time that the last stream has ended. */
  onIdle: () => void = ignore
  readonly #session: ClientHttp2Session
  readonly #socket: Duplex
  readonly #settings: HboneSettings
  readonly #closed: Promise<void>
  #streams = 0
  #peerLimit: number
  #draining = false
  /** Last stream that the peer has taken or will take. */
  #lastStreamId = Number.POSITIVE_INFINITY

  constructor({ session, socket, settings, peerIdentity }: HboneConnectionOptions) {
    this.peerIdentity = peerIdentity
    this.ends = connectionEnds(socket)
    this.#session = session
    this.#socket = socket
    this.#settings = settings
    this.#peerLimit = peerLimit(session)
    this.#closed = new Promise((resolve) => session.once('close', resolve))
    session.on('remoteSettings', () => {
      this.#peerLimit = peerLimit(session)
    })
    session.on('goaway', (_code, lastStreamId) => {
      this.#lastStreamId = lastStreamId
      this.drain()
    })
    // Streams get it too, each as its own error.
    session.on('error', () => this.close())
    startKeepalive(session, settings, () => {
      session.destroy(
        new HboneError('keepalive-timeout', 'HBONE ping timeout/error: peer does not answer PING'),
      )
      socket.destroy()
    })
  }

  /** Whether new streams may be opened: not after GOAWAY of either side. */
  get usable(): boolean {
    return !this.#draining && !this.#session.closed && !this.#session.destroyed
  }

  /** Open streams, requests without an answer included. */
  get streams(): number {
    return this.#streams
  }

  /** How many streams the peer allows at the same time. */
  get peerLimit(): number {
    return this.#peerLimit
  }

  /** Resolves when the connection is gone. */
  get closed(): Promise<void> {
    return this.#closed
  }

  /**
   * Sends a CONNECT and waits for the answer. Counts as a stream from the call
   * on. Rejects with `HboneError` `status`, `response-timeout`, `http2` or
   * `keepalive-timeout`, or with the signal's reason; `unsent` says whether the
   * peer can have seen it.
   */
  request(request: ConnectRequest, signal?: Cancellation): Promise<HboneStream> {
    let stream: ClientHttp2Stream
    try {
      stream = this.#session.request(
        { ...request.headers, ':method': 'CONNECT', ':authority': request.authority },
        { endStream: false },
      )
    } catch (error) {
      // A header that HTTP/2 cannot carry.
      return Promise.reject(new HboneError('http2', `h2 failed: ${errorText(error)}`, { cause: error }))
    }
    this.#streams++
    // Comes once: `once` would only keep a wrapper for as long as the stream lives.
    stream.on('close', () => this.#onStreamClose())
    // From here to the pump nobody else listens, and a reset must not crash the process.
    stream.on('error', ignore)
    return this.#answer(stream, signal)
  }

  /** No new streams; GOAWAY, and the end when the last stream is done. */
  drain(): Promise<void> {
    this.#draining = true
    if (this.#streams === 0) endSession(this.#session, this.#socket)
    else if (!this.#session.destroyed) this.#session.close()
    return this.#closed
  }

  /** GOAWAY(NO_ERROR), and the end of all streams. */
  close(): void {
    this.#draining = true
    closeSession(this.#session, this.#socket)
  }

  #onStreamClose(): void {
    this.#streams--
    if (this.#streams > 0) return
    if (this.#draining) endSession(this.#session, this.#socket)
    else this.onIdle()
  }

  #answer(stream: ClientHttp2Stream, signal: Cancellation | undefined): Promise<HboneStream> {
    const ms = this.#settings.responseTimeoutMs ?? RESPONSE_TIMEOUT_MS
    const error = (): HboneError =>
      new HboneError('response-timeout', `h2 failed: no answer to CONNECT in ${ms} ms`)
    return withDeadline<HboneStream>({ ms, error, signal }, (resolve, reject) => {
      let failure: unknown
      const onError = (cause: Error): void => {
        failure = cause
      }
      const onClose = (): void => reject(this.#failure(stream, failure))
      const onResponse = (headers: IncomingHttpHeaders): void => {
        const status = Number(headers[':status'])
        if (status !== constants.HTTP_STATUS_OK) {
          reject(statusError(status))
          return
        }
        const { baggage } = headers
        resolve({
          stream,
          headers: typeof baggage === 'string' ? { baggage } : {},
          peerIdentity: this.peerIdentity,
          connection: this.ends,
        })
      }
      stream.once('response', onResponse).on('error', onError).once('close', onClose)
      return () => stream.off('response', onResponse).off('error', onError).off('close', onClose)
    }).catch((reason: unknown) => {
      stream.close(constants.NGHTTP2_CANCEL)
      throw reason
    })
  }

  /** Why a stream ended without an answer. */
  #failure(stream: ClientHttp2Stream, cause: unknown): HboneError {
    if (cause instanceof HboneError) return cause
    const id = stream.id
    const unsent =
      id === undefined ||
      id > this.#lastStreamId ||
      stream.rstCode === constants.NGHTTP2_REFUSED_STREAM ||
      UNSENT.has(errorCode(cause) ?? '')
    const why = cause === undefined ? 'the peer ended it without an answer to CONNECT' : errorText(cause)
    return new HboneError('http2', `h2 failed: ${why}`, { cause, unsent })
  }
}

/** node:http2 fails a request with these before it gives it a stream id. */
const UNSENT: ReadonlySet<string> = new Set([
  'ERR_HTTP2_GOAWAY_SESSION',
  'ERR_HTTP2_INVALID_SESSION',
  'ERR_HTTP2_OUT_OF_STREAMS',
])

function peerLimit(session: ClientHttp2Session): number {
  return session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY
}

function statusError(status: number): HboneError {
  const reason = STATUS_CODES[status]
  const text = reason === undefined ? `${status}` : `${status} ${reason}`
  return new HboneError('status', `http status: ${text}`, { status })
}

function ignore(): void {}
