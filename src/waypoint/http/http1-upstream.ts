import { Agent, type ClientRequest, type RequestOptions, request } from 'node:http'
import type { Duplex } from 'node:stream'
import { abandon } from './connection-end.ts'
import { errorText, HttpError } from './errors.ts'
import { MAX_UPSTREAM_HEADER_SIZE } from './http2-settings.ts'
import type { UpstreamBounds } from './upstream-bounds.ts'
import type { Waiter } from './upstream-call.ts'

/**
 * The HTTP/1.1 connections to one upstream.
 *
 * The requests are those of `node:http`, the pool is not: Node's `Agent` counts
 * a connection only when it is open, so that its bound is none while many
 * connects are under way, and leaves requests that wait to themselves when a
 * connect fails. `undici` can neither send trailers nor `expect: 100-continue`.
 */
export class Http1Upstream {
  readonly #bounds: UpstreamBounds
  readonly #onEmpty: () => void
  readonly #idle: Http1Connection[] = []
  readonly #open = new Set<Http1Connection>()
  readonly #waiting: Waiting[] = []
  #connecting = 0
  #draining = false

  constructor(bounds: UpstreamBounds, onEmpty: () => void) {
    this.#bounds = bounds
    this.#onEmpty = onEmpty
  }

  /** Open, and about to be. */
  get size(): number {
    return this.#open.size + this.#connecting
  }

  /** A connection of its own for the waiter, sooner or later; it must be given back by `release` or `discard`. */
  acquire(waiter: Waiter<Http1Connection>, connect: () => Promise<Duplex>): void {
    const free = this.#idle.pop()
    if (free !== undefined) {
      free.wake()
      waiter.ready(free)
    } else if (this.#draining) waiter.failed(new HttpError('draining', 'the waypoint is draining'))
    else if (this.size < this.#bounds.maxConnections || this.#waiting.length < this.#bounds.maxPending) {
      this.#waiting.push({ waiter, connect })
      this.#connectMore()
    } else
      waiter.failed(new HttpError('overflow', `${this.#bounds.maxPending} requests wait for a connection`))
  }

  drain(): void {
    this.#draining = true
    for (const connection of this.#idle.splice(0)) connection.discard()
    this.#checkEmpty()
  }

  close(): void {
    this.drain()
    for (const { waiter } of this.#waiting.splice(0))
      waiter.failed(new HttpError('draining', 'the waypoint is closing'))
    for (const connection of this.#open) connection.discard()
  }

  /** One connect per waiter, as far as the bound goes. */
  #connectMore(): void {
    while (this.#waiting.length > this.#connecting && this.size < this.#bounds.maxConnections) {
      const next = this.#waiting[this.#connecting]
      if (next !== undefined) void this.#connect(next.connect)
    }
  }

  async #connect(connect: () => Promise<Duplex>): Promise<void> {
    this.#connecting++
    try {
      const stream = await connect()
      this.#connecting--
      this.#adopt(stream)
    } catch (cause) {
      this.#connecting--
      const error = new HttpError('connect-failed', errorText(cause), { cause })
      this.#nextWaiter()?.failed(error)
      this.#connectMore()
      this.#checkEmpty()
    }
  }

  #adopt(stream: Duplex): void {
    const connection = new Http1Connection(stream, this.#bounds.idleTimeoutMs, {
      onFree: () => this.#give(connection),
      onClose: () => {
        this.#open.delete(connection)
        const index = this.#idle.indexOf(connection)
        if (index >= 0) this.#idle.splice(index, 1)
        this.#connectMore()
        this.#checkEmpty()
      },
    })
    this.#open.add(connection)
    this.#give(connection)
  }

  #give(connection: Http1Connection): void {
    const waiter = this.#nextWaiter()
    if (waiter !== undefined) waiter.ready(connection)
    else if (this.#draining) connection.discard()
    else {
      this.#idle.push(connection)
      connection.sleep()
    }
  }

  #nextWaiter(): Waiter<Http1Connection> | undefined {
    let next = this.#waiting.shift()
    while (next?.waiter.cancelled) next = this.#waiting.shift()
    return next?.waiter
  }

  #checkEmpty(): void {
    if (this.size === 0 && this.#waiting.length === 0) this.#onEmpty()
  }
}

interface Waiting {
  readonly waiter: Waiter<Http1Connection>
  readonly connect: () => Promise<Duplex>
}

interface ConnectionEvents {
  onFree(): void
  onClose(): void
}

/** One connection, which has one request at a time. */
export class Http1Connection {
  readonly #stream: Duplex
  readonly #agent: HandOver
  readonly #idleTimeoutMs: number
  #timer: NodeJS.Timeout | undefined
  /** Whether it has carried a request before. */
  reused = false

  constructor(stream: Duplex, idleTimeoutMs: number, events: ConnectionEvents) {
    this.#stream = stream
    this.#idleTimeoutMs = idleTimeoutMs
    this.#agent = new HandOver(stream)
    stream.on('error', ignore)
    stream.once('close', () => {
      clearTimeout(this.#timer)
      events.onClose()
    })
    // node:http says so when an answer is whole and the connection may be used again.
    stream.on('free', () => {
      this.reused = true
      if (stream.writable && stream.readable) events.onFree()
      else this.discard()
    })
  }

  request(options: RequestOptions): ClientRequest {
    return request({ ...options, agent: this.#agent, maxHeaderSize: MAX_UPSTREAM_HEADER_SIZE })
  }

  /** An idle upstream that says anything, or that goes, is done for. */
  sleep(): void {
    this.#stream.on('data', this.#onStray).once('end', this.#onStray)
    this.#timer ??= setTimeout(this.#onStray, this.#idleTimeoutMs)
    this.#timer.refresh().unref()
  }

  wake(): void {
    this.#stream.off('data', this.#onStray).off('end', this.#onStray)
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  discard(): void {
    abandon(this.#stream)
  }

  readonly #onStray = (): void => this.discard()
}

/** Gives every request the same connection. */
class HandOver extends Agent {
  readonly #stream: Duplex

  constructor(stream: Duplex) {
    super({ keepAlive: true })
    this.#stream = stream
  }

  /** What node:http calls; agents on npm build on it, though Node's types do not have it. */
  addRequest(clientRequest: ClientRequest): void {
    clientRequest.onSocket(this.#stream as Parameters<ClientRequest['onSocket']>[0])
  }
}

function ignore(): void {}
