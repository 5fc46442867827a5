import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { formatSpiffeId, type SpiffeId } from '../identity/spiffe-id.ts'
import type { ConnectionEnds } from './endpoint.ts'
import { HboneError } from './errors.ts'
import { ERROR, MAX_31 } from './h2/constants.ts'
import type { Message } from './h2/field-rules.ts'
import type { SessionLimits } from './h2/peer-budget.ts'
import { Http2Session } from './h2/session.ts'
import type { TunnelStream } from './h2/stream.ts'
import { startKeepalive } from './keepalive.ts'
import { type HboneRequest, receiveRequest } from './request.ts'
import { closeSession } from './session-close.ts'
import { sessionError } from './session-error.ts'
import { CONNECTION_WINDOW_SIZE, type HboneSettings, serverSettings } from './settings.ts'

export interface ServerConnectionOptions {
  readonly tls: TLSSocket
  readonly limits: SessionLimits
  /** The TCP socket at the bottom. */
  readonly socket: Socket
  readonly ends: ConnectionEnds
  /** Of the client; undefined when its certificate has no SPIFFE id. */
  readonly identity: SpiffeId | undefined
  readonly settings: HboneSettings
  readonly onRequest: (request: HboneRequest) => void
  readonly onError: (error: HboneError, ends: ConnectionEnds) => void
  /** The connection is gone. */
  readonly onClose: (connection: ServerConnection) => void
}

export interface ServerConnectionDump extends ConnectionEnds {
  /** Full SPIFFE URI of the client. */
  readonly identity: string | undefined
  readonly state: 'open' | 'draining'
  readonly streams: number
}

/**
 * How long a drain waits for the PONG that proves that the peer has seen the
 * first GOAWAY, milliseconds; a round trip, and the peer's queue.
 */
const DRAIN_PING_TIMEOUT_MS = 1000

/** One HTTP/2 connection of a client whose identity is proven. */
export class ServerConnection {
  readonly #options: ServerConnectionOptions
  readonly #session: Http2Session
  #draining: Promise<void> | undefined
  #onDrained: () => void = ignore

  constructor(options: ServerConnectionOptions) {
    this.#options = options
    const { tls, socket, ends, settings, limits, onError, onClose } = options
    const session = new Http2Session({
      socket: tls,
      isKernelSocket: true,
      role: 'server',
      settings: serverSettings(settings),
      connectionWindowSize: settings.connectionWindowSize ?? CONNECTION_WINDOW_SIZE,
      limits,
      onStream: this.#onStream,
    })
    this.#session = session
    const stopKeepalive = startKeepalive(session, settings, () => {
      const error = new HboneError('keepalive-timeout', 'HBONE ping timeout/error: peer does not answer PING')
      // The peer learns by GOAWAY(NO_ERROR) that this is no complaint, if it lives.
      session.destroy(error, ERROR.NO_ERROR)
    })
    session.onClose = (error) => {
      stopKeepalive()
      const reported = error === undefined ? undefined : sessionError(error)
      if (reported !== undefined) onError(reported, ends)
      closeSession(session, socket)
      this.#onDrained()
      onClose(this)
    }
  }

  /**
   * Two steps (RFC 9113 section 6.8): GOAWAY with the highest stream id says
   * "no more", and PING finds out when the peer has heard it; until then its
   * streams are served. Then GOAWAY with the last one that we took, which
   * `close()` sends. Resolves when all of them have ended.
   */
  drain(): Promise<void> {
    this.#draining ??= this.#drain()
    return this.#draining
  }

  /** GOAWAY(NO_ERROR), and the end of all streams. */
  close(): void {
    closeSession(this.#session, this.#options.socket)
  }

  dump(): ServerConnectionDump {
    const { ends, identity } = this.#options
    return {
      ...ends,
      identity: identity === undefined ? undefined : formatSpiffeId(identity),
      state: this.#draining === undefined ? 'open' : 'draining',
      streams: this.#session.streams,
    }
  }

  readonly #onStream = (tunnel: TunnelStream, message: Message): void => {
    const { ends, identity, onRequest, onError } = this.#options
    try {
      onRequest(receiveRequest(tunnel, message, ends, identity))
    } catch (error) {
      if (!(error instanceof HboneError)) throw error
      onError(error, ends)
    }
  }

  #drain(): Promise<void> {
    const session = this.#session
    return new Promise((resolve) => {
      if (session.destroyed) return resolve()
      const last = (): void => {
        clearTimeout(timer)
        session.close()
      }
      const timer = setTimeout(last, DRAIN_PING_TIMEOUT_MS)
      timer.unref()
      this.#onDrained = () => {
        clearTimeout(timer)
        resolve()
      }
      session.goaway(ERROR.NO_ERROR, MAX_31)
      session.ping(last)
    })
  }
}

function ignore(): void {}
