import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { endWithin, withoutEnd } from './connection-end.ts'
import { errorText, HttpError } from './errors.ts'
import { upstreamSessionOptions } from './http2-settings.ts'
import { DISCARD_MS } from './limits.ts'
import type { UpstreamBounds } from './upstream-bounds.ts'
import type { Waiter } from './upstream-call.ts'

/**
 * The HTTP/2 connections to one upstream: as many as its limit of streams
 * makes necessary. A connection that goes away takes no new requests.
 */
export class Http2Upstream {
  readonly #bounds: UpstreamBounds
  readonly #onEmpty: () => void
  readonly #connections = new Set<Http2Connection>()
  readonly #waiting: Waiting[] = []
  #connecting = 0
  #draining = false

  constructor(bounds: UpstreamBounds, onEmpty: () => void) {
    this.#bounds = bounds
    this.#onEmpty = onEmpty
  }

  get size(): number {
    return this.#connections.size + this.#connecting
  }

  /** A connection with room for one more stream; the waiter opens it before it returns. */
  acquire(waiter: Waiter<Http2Connection>, open: () => Promise<Duplex>): void {
    const connection = this.#withRoom()
    if (connection !== undefined) waiter.ready(connection)
    else if (this.#draining) waiter.failed(new HttpError('draining', 'the waypoint is draining'))
    else if (this.#waiting.length < this.#bounds.maxPending || this.size < this.#bounds.maxConnections) {
      this.#waiting.push({ waiter, open })
      this.#connectMore()
    } else
      waiter.failed(new HttpError('overflow', `${this.#bounds.maxPending} requests wait for a connection`))
  }

  drain(): void {
    this.#draining = true
    for (const connection of this.#connections) connection.drain()
    this.#checkEmpty()
  }

  close(): void {
    this.#draining = true
    for (const { waiter } of this.#waiting.splice(0))
      waiter.failed(new HttpError('draining', 'the waypoint is closing'))
    for (const connection of this.#connections) connection.close()
    this.#checkEmpty()
  }

  #withRoom(): Http2Connection | undefined {
    for (const connection of this.#connections) if (connection.hasRoom) return connection
    return undefined
  }

  /** As many as are waited for, if every one takes as many streams as a server usually does. */
  #connectMore(): void {
    while (
      this.#waiting.length > this.#connecting * USUAL_STREAMS &&
      this.size < this.#bounds.maxConnections
    ) {
      const next = this.#waiting[this.#connecting * USUAL_STREAMS]
      if (next !== undefined) void this.#connect(next.open)
    }
  }

  async #connect(open: () => Promise<Duplex>): Promise<void> {
    this.#connecting++
    try {
      const stream = await open()
      this.#connecting--
      this.#adopt(stream)
    } catch (cause) {
      this.#connecting--
      const error = new HttpError('connect-failed', errorText(cause), { cause })
      // All that this connection was for: another connect would fail as well.
      for (const { waiter } of this.#waiting.splice(0, USUAL_STREAMS))
        if (!waiter.cancelled) waiter.failed(error)
      this.#connectMore()
      this.#checkEmpty()
    }
  }

  #adopt(stream: Duplex): void {
    const connection = new Http2Connection(stream, this.#bounds.idleTimeoutMs, {
      onRoom: () => this.#serve(),
      onClose: () => {
        this.#connections.delete(connection)
        this.#connectMore()
        this.#checkEmpty()
      },
    })
    this.#connections.add(connection)
    this.#serve()
    if (this.#draining) connection.drain()
  }

  /** Gives every free place to somebody who waits. */
  #serve(): void {
    while (this.#waiting.length > 0) {
      const connection = this.#withRoom()
      if (connection === undefined) break
      const next = this.#waiting.shift()
      if (next?.waiter.cancelled === false) next.waiter.ready(connection)
    }
    if (!this.#draining) this.#connectMore()
  }

  #checkEmpty(): void {
    if (this.size === 0 && this.#waiting.length === 0) this.#onEmpty()
  }
}

interface Waiting {
  readonly waiter: Waiter<Http2Connection>
  readonly open: () => Promise<Duplex>
}

interface ConnectionEvents {
  onRoom(): void
  onClose(): void
}

/** Unit streams. RFC 9113 section 6.5.2 wants no less than 100 from a server. */
const USUAL_STREAMS = 100

/** One session. */
export class Http2Connection {
  readonly #stream: Duplex
  readonly #session: ClientHttp2Session
  readonly #idleTimeoutMs: number
  readonly #events: ConnectionEvents
  #timer: NodeJS.Timeout | undefined
  readonly #streams = new Set<ClientHttp2Stream>()
  #leaving = false

  constructor(stream: Duplex, idleTimeoutMs: number, events: ConnectionEvents) {
    this.#idleTimeoutMs = idleTimeoutMs
    this.#events = events
    const session = withoutEnd(stream, () =>
      connect(ANY_ORIGIN, { createConnection: () => stream, ...upstreamSessionOptions() }),
    )
    this.#stream = stream
    this.#session = session
    // Its streams fail as well, and say so to those who have them.
    session.on('error', ignore)
    session.once('goaway', () => this.#leave())
    session.on('remoteSettings', () => this.#events.onRoom())
    session.once('close', () => {
      this.#leaving = true
      clearTimeout(this.#timer)
      stream.destroy()
      events.onClose()
    })
    // A socket that stays half-open would not tell the session of the peer's end.
    if (stream instanceof Socket) stream.allowHalfOpen = false
    stream.on('error', ignore)
    stream.once('end', () => this.#onEnd())
    stream.once('close', () => session.destroy())
    this.#sleep()
  }

  get hasRoom(): boolean {
    if (this.#leaving || this.#session.closed || this.#session.destroyed) return false
    // Until the peer's SETTINGS are here, the least that it may say.
    const limit = this.#session.remoteSettings?.maxConcurrentStreams ?? USUAL_STREAMS
    return this.#streams.size < limit
  }

  /** Opens a stream; fields are a flat list with the pseudo-headers first. */
  request(fields: string[], options: { endStream: boolean; waitForTrailers: boolean }): ClientHttp2Stream {
    const stream = this.#session.request(fields, options)
    this.#streams.add(stream)
    clearTimeout(this.#timer)
    this.#timer = undefined
    stream.once('close', () => {
      this.#streams.delete(stream)
      if (this.#streams.size === 0) this.#sleep()
      if (this.hasRoom) this.#events.onRoom()
    })
    return stream
  }

  drain(): void {
    this.#leave()
    this.#session.close()
  }

  close(): void {
    this.#session.destroy()
  }

  /** No answer comes any more, but what is here may still be read. */
  #onEnd(): void {
    for (const stream of this.#streams) {
      if (!stream.closed) stream.destroy(new HttpError('closed', 'the upstream closed the connection'))
    }
    this.drain()
    endWithin(this.#stream, DISCARD_MS)
  }

  #leave(): void {
    this.#leaving = true
    if (this.#streams.size === 0) this.#session.close()
  }

  #sleep(): void {
    if (this.#leaving) {
      this.#session.close()
      return
    }
    this.#timer = setTimeout(() => {
      this.drain()
      endWithin(this.#stream, DISCARD_MS)
    }, this.#idleTimeoutMs)
    this.#timer.unref()
  }
}

/** What `connect` wants; every request has its own `:authority`. */
const ANY_ORIGIN = 'http://upstream.invalid'

function ignore(): void {}
