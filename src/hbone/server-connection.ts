import { constants, type ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { formatSpiffeId, type SpiffeId } from '../identity/spiffe-id.ts'
import type { ConnectionEnds } from './endpoint.ts'
import { HboneError } from './errors.ts'
import { startKeepalive } from './keepalive.ts'
import { type HboneRequest, receiveRequest } from './request.ts'
import { closeSession } from './session-close.ts'
import { sessionError } from './session-error.ts'
import { CONNECTION_WINDOW_SIZE, type HboneSettings } from './settings.ts'

export interface ServerConnectionOptions {
  readonly session: ServerHttp2Session
  /** The TCP socket at the bottom. */
  readonly socket: Socket
  readonly ends: ConnectionEnds
  /** Of the client; undefined when its certificate has no SPIFFE id. */
  readonly identity: SpiffeId | undefined
  readonly settings: HboneSettings
  readonly onRequest: (request: HboneRequest) => void
  readonly onError: (error: HboneError, ends: ConnectionEnds) => void
}

export interface ServerConnectionDump extends ConnectionEnds {
  /** Full SPIFFE URI of the client. */
  readonly identity: string | undefined
  readonly state: 'open' | 'draining'
  readonly streams: number
}

/**
 * How long a drain waits for the PONG that proves that the peer has seen the
 * first GOAWAY, milliseconds; two round trips, and the peer's queue.
 */
const DRAIN_PING_TIMEOUT_MS = 1000

/** One HTTP/2 connection of a client whose identity is proven. */
export class ServerConnection {
  readonly #options: ServerConnectionOptions
  #streams = 0
  #draining: Promise<void> | undefined

  constructor(options: ServerConnectionOptions) {
    this.#options = options
    const { session, ends, settings, onError } = options
    session.setLocalWindowSize(settings.connectionWindowSize ?? CONNECTION_WINDOW_SIZE)
    session.on('stream', (stream, headers) => {
      this.#streams++
      stream.on('close', this.#onStreamClose)
      try {
        options.onRequest(receiveRequest(stream, headers, ends, options.identity))
      } catch (error) {
        if (!(error instanceof HboneError)) throw error
        onError(error, ends)
      }
    })
    session.on('error', (error) => {
      const reported = sessionError(error)
      if (reported !== undefined) onError(reported, ends)
      this.close()
    })
    startKeepalive(session, settings, () => {
      const error = new HboneError('keepalive-timeout', 'HBONE ping timeout/error: peer does not answer PING')
      // The peer learns by GOAWAY(NO_ERROR) that this is no complaint, if it lives.
      session.destroy(error, constants.NGHTTP2_NO_ERROR)
    })
  }

  /**
   * Two steps (RFC 9113 section 6.8): GOAWAY with the highest stream id says
   * "no more", and PING finds out when the peer has heard it; until then its
   * streams are served. Then GOAWAY with the last one that we took, which node
   * sends in `close()`. Resolves when all of them have ended.
   */
  drain(): Promise<void> {
    this.#draining ??= this.#drain()
    return this.#draining
  }

  /** GOAWAY(NO_ERROR), and the end of all streams. */
  close(): void {
    closeSession(this.#options.session, this.#options.socket)
  }

  dump(): ServerConnectionDump {
    const { ends, identity } = this.#options
    return {
      ...ends,
      identity: identity === undefined ? undefined : formatSpiffeId(identity),
      state: this.#draining === undefined ? 'open' : 'draining',
      streams: this.#streams,
    }
  }

  readonly #onStreamClose = (): void => {
    this.#streams--
  }

  #drain(): Promise<void> {
    const { session } = this.#options
    return new Promise((resolve) => {
      if (session.destroyed) return resolve()
      session.once('close', () => resolve())
      const last = (): void => {
        clearTimeout(timer)
        if (!session.destroyed) session.close()
      }
      const timer = setTimeout(last, DRAIN_PING_TIMEOUT_MS)
      timer.unref()
      session.goaway(constants.NGHTTP2_NO_ERROR, MAX_STREAM_ID)
      // nghttp2 sends a PING before a GOAWAY that was there first; the second one comes after it for certain.
      session.ping(() => {
        if (session.destroyed || !session.ping(last)) last()
      })
    })
  }
}

const MAX_STREAM_ID = 2 ** 31 - 1
