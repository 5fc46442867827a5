import { createServer, type IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type CheckedRequest, isRefusal, type Refusal } from './check-request.ts'
import { abandon, endWithin } from './connection-end.ts'
import { errorCode } from './errors.ts'
import { Exchange } from './exchange-core.ts'
import { Http1Downstream, tunnelAsSocket } from './http1-downstream.ts'
import { checkHttp1Request, websocketRequested } from './http1-request.ts'
import { Http1Timers } from './http1-timers.ts'
import { DISCARD_MS, type EffectiveLimits, MAX_PIPELINED } from './limits.ts'
import { parserRefusal, rawRefusal } from './refusal.ts'
import type { ServeHttpOptions } from './serve.ts'

/** Serves HTTP/1.x in a tunnel; resolves when it is closed. */
export function serveHttp1(
  tunnel: Duplex,
  options: ServeHttpOptions,
  limits: EffectiveLimits,
): Promise<void> {
  return new Promise((resolve) => {
    new Http1Connection(tunnel, options, limits).start(resolve)
  })
}

interface Received {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly isUpgrade: boolean
  /** Once an exchange has it. */
  downstream?: Http1Downstream
}

/**
 * One connection. Requests are taken one after the other, as their answers
 * have to come in that order: who pipelines more is not read from meanwhile.
 */
class Http1Connection {
  readonly #tunnel: Duplex
  readonly #options: ServeHttpOptions
  readonly #limits: EffectiveLimits
  readonly #timers: Http1Timers
  readonly #waiting: Received[] = []
  #current: Received | undefined
  #requests = 0
  #lineSeen = false
  #refused = false

  constructor(tunnel: Duplex, options: ServeHttpOptions, limits: EffectiveLimits) {
    this.#tunnel = tunnel
    this.#options = options
    this.#limits = limits
    this.#timers = new Http1Timers(limits, {
      onIdle: () => this.#end(),
      onSlowHead: () => this.#refuse({ status: 408, reason: 'the head of the request took too long' }),
    })
  }

  start(onClosed: () => void): void {
    const tunnel = this.#tunnel
    const { signal } = this.#options
    const onDrain = (): void => this.#drain()
    signal?.addEventListener('abort', onDrain, { once: true })
    tunnel.once('close', () => {
      signal?.removeEventListener('abort', onDrain)
      this.#timers.stop()
      this.#waiting.length = 0
      onClosed()
    })
    tunnel.on('error', ignore)
    // Before the parser's own listener, so that a head is timed from its first byte.
    const onData = (chunk: Buffer): void => this.#onData(chunk)
    tunnel.on('data', onData)
    const onEnd = (): void => this.#onEnd()
    tunnel.once('end', onEnd)
    const server = createServer({
      maxHeaderSize: this.#limits.maxHeaderBytes,
      requireHostHeader: false,
      keepAliveTimeout: 0,
      shouldUpgradeCallback: websocketRequested,
    })
    // Node cuts a longer list short and says nothing; one more shows it.
    server.maxHeadersCount = this.#limits.maxHeaders + 1
    server.on('request', (request, response) => this.#receive({ request, response, isUpgrade: false }))
    server.on('checkContinue', (request, response) => this.#receive({ request, response, isUpgrade: false }))
    server.on('checkExpectation', (request, response) =>
      this.#receive({ request, response, isUpgrade: false }),
    )
    server.on('upgrade', (request: IncomingMessage, stream: Duplex, first: Buffer) => {
      tunnel.off('data', onData).off('end', onEnd)
      this.#onUpgrade(request, stream, first)
    })
    server.on('connect', () =>
      this.#refuse({ status: 501, reason: 'CONNECT is for the tunnel, not for what is in it' }),
    )
    server.on('clientError', (error) => {
      // The client said that this was its last request; what it sends after it is nothing.
      if (this.#current !== undefined && errorCode(error) === 'HPE_CLOSED_CONNECTION') return
      this.#refuse(parserRefusal(error, this.#lineSeen))
    })
    this.#timers.idle()
    server.emit('connection', tunnel)
    if (signal?.aborted) this.#drain()
  }

  #onData(chunk: Buffer): void {
    if (this.#current !== undefined) return
    this.#timers.head()
    // Not exact when a line end is all that the head's first chunk lacks; it only chooses between 414 and 431.
    this.#lineSeen ||= chunk.includes(LINE_FEED)
  }

  /** As Envoy does it, a client that ends its side is gone: it could not be told apart from one that is. */
  #onEnd(): void {
    if (this.#current !== undefined) abandon(this.#tunnel)
  }

  #receive(received: Received): void {
    this.#timers.stop()
    this.#lineSeen = false
    received.request.on('error', ignore)
    received.response.on('error', ignore)
    if (this.#refused) return
    if (this.#current !== undefined) {
      this.#waiting.push(received)
      // The current request is all read, so that nothing of it is held up.
      this.#tunnel.pause()
      if (this.#waiting.length > MAX_PIPELINED) abandon(this.#tunnel)
      return
    }
    this.#current = received
    // Later, so that a body which is malformed in the same packet stops its request here.
    process.nextTick(() => this.#begin(received))
  }

  #begin(received: Received): void {
    if (this.#refused) return
    if (this.#tunnel.destroyed) {
      this.#options.onRefused?.(0, 'the client went away at once')
      return
    }
    const checked = checkHttp1Request(received.request, this.#limits)
    if (isRefusal(checked)) {
      this.#refuse(checked)
      return
    }
    this.#exchange(received, checked)
  }

  #exchange(received: Received, checked: CheckedRequest): void {
    const { request, response, isUpgrade } = received
    this.#requests++
    if (this.#isLast || isUpgrade) response.shouldKeepAlive = false
    const downstream = new Http1Downstream(request, response, this.#tunnel, isUpgrade)
    downstream.onSwitched(() => {
      this.#current = undefined
      this.#timers.stop()
    })
    downstream.onClose((complete) => this.#onDone(received, complete))
    received.downstream = downstream
    this.#options.onRequest(
      new Exchange(downstream, checked, {
        upstreams: this.#options.upstreams,
        maxBodyBytes: this.#limits.maxBodyBytes,
        upgrade: isUpgrade ? 'websocket' : undefined,
      }),
    )
  }

  #onDone(received: Received, complete: boolean): void {
    if (this.#current !== received) return
    this.#current = undefined
    if (!complete || this.#tunnel.destroyed) return
    if (!received.request.complete) {
      this.#discardBody(received.request)
      return
    }
    if (this.#isLast || !received.response.shouldKeepAlive || this.#tunnel.writableEnded) {
      this.#end()
      return
    }
    const next = this.#waiting.shift()
    if (this.#waiting.length === 0) this.#tunnel.resume()
    if (next === undefined) this.#timers.idle()
    else {
      this.#current = next
      process.nextTick(() => this.#begin(next))
    }
  }

  /** The answer was early, and is all that the client gets on this connection. */
  #discardBody(request: IncomingMessage): void {
    request.resume()
    this.#end()
  }

  /** Ends our side, and waits a little for the client's. */
  #end(): void {
    const tunnel = this.#tunnel
    this.#refused = true
    tunnel.end()
    tunnel.resume()
    if (tunnel.readableEnded) tunnel.once('finish', () => tunnel.destroy())
    else tunnel.once('end', () => tunnel.destroy())
    // A slow reader may take its time for what is on its way to it.
    if (tunnel.writableFinished) endWithin(tunnel, DISCARD_MS)
    else tunnel.once('finish', () => endWithin(tunnel, DISCARD_MS))
  }

  #onUpgrade(request: IncomingMessage, stream: Duplex, first: Buffer): void {
    // A body before the upgrade would be read by nobody; answers that are still due would be mixed with it.
    if (hasBody(request) || stream !== this.#tunnel || this.#current !== undefined) {
      this.#refuse({ status: 400, reason: 'an upgrade must stand alone' })
      return
    }
    if (first.length > 0) stream.unshift(first)
    stream.on('error', ignore)
    const response = new ServerResponse(request)
    response.assignSocket(tunnelAsSocket(stream))
    stream.on('drain', () => response.emit('drain'))
    this.#receive({ request, response, isUpgrade: true })
  }

  /** Answers what was no request, and closes. */
  #refuse({ status, reason }: Refusal): void {
    if (this.#refused || this.#tunnel.destroyed) return
    this.#refused = true
    this.#timers.stop()
    const begun = this.#current?.response.headersSent === true
    this.#options.onRefused?.(begun ? 0 : status, reason)
    if (begun) {
      abandon(this.#tunnel)
      return
    }
    this.#current?.downstream?.cancel()
    this.#tunnel.write(rawRefusal(status, reason), 'latin1')
    this.#end()
  }

  #drain(): void {
    if (this.#current === undefined) {
      if (!this.#refused) this.#end()
    } else if (!this.#current.response.headersSent) this.#current.response.shouldKeepAlive = false
  }

  get #isLast(): boolean {
    return this.#requests >= this.#limits.maxRequestsPerConnection || this.#options.signal?.aborted === true
  }
}

const LINE_FEED = 0x0a

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function ignore(): void {}
