import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Cancellation } from './cancellation.ts'
import { withDeadline } from './deadline.ts'
import { type ConnectionEnds, connectionEnds } from './endpoint.ts'
import { errorText, HboneError } from './errors.ts'
import { ERROR } from './h2/constants.ts'
import { Http2Error } from './h2/errors.ts'
import type { Http2Session } from './h2/session.ts'
import type { TunnelStream } from './h2/stream.ts'
import { TunnelDuplex } from './h2/tunnel-duplex.ts'
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
export class HboneStream {
  /** What `pump` joins with a socket. Nothing of its bytes is read yet. */
  readonly tunnel: TunnelStream
  /** Of the answer. */
  readonly headers: { readonly baggage?: string }
  readonly #connection: HboneConnection
  #stream: TunnelDuplex | undefined

  constructor(connection: HboneConnection, tunnel: TunnelStream, headers: { readonly baggage?: string }) {
    this.#connection = connection
    this.tunnel = tunnel
    this.headers = headers
  }

  /** The tunnel as a Node stream, made when it is asked for. From then on, it is what reads the tunnel. */
  get stream(): TunnelDuplex {
    this.#stream ??= new TunnelDuplex(this.tunnel)
    return this.#stream
  }

  /** Full SPIFFE URI that the peer proved. */
  get peerIdentity(): string {
    return this.#connection.peerIdentity
  }

  /** The TCP connection below; undefined when that is gone already, and within another tunnel. */
  get connection(): ConnectionEnds | undefined {
    return this.#connection.ends
  }
}

export interface HboneConnectionOptions {
  readonly session: Http2Session
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
  readonly #session: Http2Session
  readonly #socket: Duplex
  readonly #settings: HboneSettings
  readonly #closed: Promise<void>
  #streams = 0
  #draining = false
  /** Last stream that the peer has taken or will take. */
  #lastStreamId = Number.POSITIVE_INFINITY

  constructor({ session, socket, settings, peerIdentity }: HboneConnectionOptions) {
    this.peerIdentity = peerIdentity
    this.ends = connectionEnds(socket)
    this.#session = session
    this.#socket = socket
    this.#settings = settings
    const stopKeepalive = startKeepalive(session, settings, () => {
      session.destroy(
        new HboneError('keepalive-timeout', 'HBONE ping timeout/error: peer does not answer PING'),
      )
      socket.destroy()
    })
    this.#closed = new Promise((resolve) => {
      session.onClose = () => {
        stopKeepalive()
        // Streams got the error, each as its own.
        this.close()
        resolve()
      }
    })
    session.onStreamClose = () => this.#onStreamClose()
    session.onGoaway = (lastStreamId) => {
      this.#lastStreamId = lastStreamId
      this.#draining = true
    }
  }

  /** Whether new streams may be opened: not after GOAWAY of either side. */
  get usable(): boolean {
    return !this.#draining && !this.#session.closed && !this.#session.exhausted
  }

  /** Open streams, requests without an answer included. */
  get streams(): number {
    return this.#streams
  }

  /** How many streams the peer allows at the same time. */
  get peerLimit(): number {
    return this.#session.remoteSettings.maxConcurrentStreams
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
    let tunnel: TunnelStream
    try {
      tunnel = this.#session.request(request.authority, request.headers)
    } catch (cause) {
      const unsent = cause instanceof Http2Error && cause.code === 'unsent'
      return Promise.reject(new HboneError('http2', `h2 failed: ${errorText(cause)}`, { cause, unsent }))
    }
    this.#streams++
    return this.#answer(tunnel, signal)
  }

  /** No new streams; GOAWAY, and the end when the last stream is done. */
  drain(): Promise<void> {
    this.#draining = true
    if (this.#streams === 0) endSession(this.#session, this.#socket)
    else this.#session.close()
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

  #answer(tunnel: TunnelStream, signal: Cancellation | undefined): Promise<HboneStream> {
    const ms = this.#settings.responseTimeoutMs ?? RESPONSE_TIMEOUT_MS
    const error = (): HboneError =>
      new HboneError('response-timeout', `h2 failed: no answer to CONNECT in ${ms} ms`)
    return withDeadline<HboneStream>({ ms, error, signal }, (resolve, reject) => {
      tunnel.onAnswer = (message) => {
        if (message === undefined) return reject(this.#failure(tunnel))
        const status = Number(message.status)
        if (status !== 200) return reject(statusError(status))
        const baggage = message.fields.get('baggage')
        resolve(new HboneStream(this, tunnel, baggage === undefined ? {} : { baggage }))
      }
      return () => {
        tunnel.onAnswer = undefined
      }
    }).catch((reason: unknown) => {
      tunnel.reset(ERROR.CANCEL)
      throw reason
    })
  }

  /** Why a stream ended without an answer. */
  #failure(tunnel: TunnelStream): HboneError {
    const { id, error: cause, resetCode } = tunnel
    if (cause instanceof HboneError) return cause
    const unsent = id > this.#lastStreamId || resetCode === ERROR.REFUSED_STREAM
    const why = cause === undefined ? 'the peer ended it without an answer to CONNECT' : errorText(cause)
    return new HboneError('http2', `h2 failed: ${why}`, { cause, unsent })
  }
}

function statusError(status: number): HboneError {
  const reason = STATUS_CODES[status]
  const text = reason === undefined ? `${status}` : `${status} ${reason}`
  return new HboneError('status', `http status: ${text}`, { status })
}

function ignore(): void {}
