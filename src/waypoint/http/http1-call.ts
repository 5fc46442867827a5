import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { HttpHeaders } from '../../mesh/http/request.ts'
import type { BodyFraming } from './downstream.ts'
import { errorCode, errorText, HttpError } from './errors.ts'
import type { ForwardTarget } from './exchange.ts'
import { endToEndFields, fieldPairs, trailerFields, withoutFields } from './header-fields.ts'
import type { Http1Connection, Http1Upstream } from './http1-upstream.ts'
import type { UpstreamCall, UpstreamHandlers, UpstreamRequest, Waiter } from './upstream-call.ts'

/** Begins a request over HTTP/1.1. */
export function callHttp1(
  upstream: Http1Upstream,
  target: ForwardTarget,
  request: UpstreamRequest,
  handlers: UpstreamHandlers,
): UpstreamCall {
  const call = new Http1Call(request, handlers)
  upstream.acquire(call, target.connect)
  return call
}

class Http1Call implements UpstreamCall, Waiter<Http1Connection> {
  readonly #request: UpstreamRequest
  readonly #handlers: UpstreamHandlers
  #connection: Http1Connection | undefined
  #message: ClientRequest | undefined
  #answer: IncomingMessage | undefined
  #wasReused = false
  #over = false

  constructor(request: UpstreamRequest, handlers: UpstreamHandlers) {
    this.#request = request
    this.#handlers = handlers
  }

  get cancelled(): boolean {
    return this.#over
  }

  ready(connection: Http1Connection): void {
    this.#connection = connection
    this.#wasReused = connection.reused
    const message = this.#open(connection)
    if (message === undefined) return
    this.#message = message
    message.on('error', (error) => this.#fail(error))
    message.on('information', ({ statusCode, rawHeaders }) => {
      if (!this.#over)
        this.#handlers.onInformation({ status: statusCode, headers: endToEndFields(rawHeaders) })
    })
    message.on('upgrade', (answer, stream, first) => this.#onUpgrade(answer, stream, first))
    message.on('response', (answer) => this.#onResponse(answer))
    this.#handlers.onReady(this, message)
  }

  #open(connection: Http1Connection): ClientRequest | undefined {
    const { method, path } = this.#request.head
    try {
      return connection.request({ method, path, headers: requestFields(this.#request) })
    } catch (cause) {
      // Filters may have made something of the head that Node does not let out.
      this.#fail(new HttpError('protocol', `request cannot be sent: ${errorText(cause)}`, { cause }))
      return undefined
    }
  }

  failed(error: HttpError): void {
    this.#over = true
    this.#handlers.onFailure(error)
  }

  finish(trailers: HttpHeaders): void {
    const message = this.#message
    if (message === undefined || message.destroyed) return
    if (trailers.length > 0 && this.#request.framing.contentLength === undefined)
      message.addTrailers(fieldPairs(trailers))
    message.end()
  }

  flush(): void {
    if (this.#message?.destroyed === false) this.#message.flushHeaders()
  }

  trailers(): HttpHeaders {
    return trailerFields(this.#answer?.rawTrailers ?? [])
  }

  abort(): void {
    this.#over = true
    this.#connection?.discard()
  }

  #onResponse(answer: IncomingMessage): void {
    if (this.#over) {
      this.#connection?.discard()
      return
    }
    this.#answer = answer
    const status = answer.statusCode ?? 0
    if (status > MAX_STATUS) {
      this.#connection?.discard()
      this.#fail(new HttpError('protocol', `status ${status}`))
      return
    }
    answer.on('error', (error) => this.#fail(error))
    answer.once('end', () => this.#onEnd())
    const framing = responseFraming(answer, this.#request.head.method)
    this.#handlers.onHead({ status, headers: endToEndFields(answer.rawHeaders, LENGTH) }, framing, answer)
  }

  #onEnd(): void {
    this.#over = true
    // An answer before the end of the request leaves a connection that nobody can use again.
    if (this.#message?.writableEnded !== true || !this.#message.shouldKeepAlive) this.#connection?.discard()
  }

  #onUpgrade(answer: IncomingMessage, stream: Duplex, first: Buffer): void {
    stream.on('error', ignore)
    if (this.#over) {
      stream.destroy()
      return
    }
    if (
      this.#request.upgrade === undefined ||
      answer.headers.upgrade?.toLowerCase() !== this.#request.upgrade
    ) {
      stream.destroy()
      this.#fail(new HttpError('protocol', 'the upstream changes to a protocol that nobody asked for'))
      return
    }
    this.#over = true
    if (first.length > 0) stream.unshift(first)
    const headers = [...endToEndFields(answer.rawHeaders, LENGTH), 'upgrade', this.#request.upgrade]
    this.#handlers.onUpgrade({ status: 101, headers }, stream)
  }

  #fail(cause: Error): void {
    if (this.#over) return
    this.#over = true
    this.#connection?.discard()
    const isStale = this.#answer === undefined && this.#wasReused
    this.#handlers.onFailure(asHttpError(cause, isStale))
  }
}

/** Higher ones have no meaning (RFC 9110 section 15). */
const MAX_STATUS = 599
/** Without a body these say nothing about its length. */
const BODYLESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])
const LENGTH: ReadonlySet<string> = new Set(['content-length'])
const NOT_UNCHUNKED: ReadonlySet<string> = new Set(['content-length', 'trailer'])

function requestFields({ head, framing, expectsContinue, upgrade }: UpstreamRequest): string[] {
  const isChunked = framing.hasBody && framing.contentLength === undefined
  const fields = ['host', head.authority]
  let cookies = ''
  const rest = withoutFields(head.headers, isChunked ? LENGTH : NOT_UNCHUNKED)
  for (let index = 0; index + 1 < rest.length; index += 2) {
    const name = rest[index] ?? ''
    const value = rest[index + 1] ?? ''
    // HTTP/2 cuts cookies into crumbs; HTTP/1.1 has one field (RFC 9113 section 8.2.3).
    if (name === 'cookie') cookies = cookies === '' ? value : `${cookies}; ${value}`
    else fields.push(name, value)
  }
  if (cookies !== '') fields.push('cookie', cookies)
  if (framing.contentLength !== undefined) fields.push('content-length', String(framing.contentLength))
  else if (framing.hasBody) fields.push('transfer-encoding', 'chunked')
  // Or Node sends it chunked (RFC 9110 section 8.6 wants a length as well).
  else if (!BODYLESS.has(head.method)) fields.push('content-length', '0')
  if (expectsContinue) fields.push('expect', '100-continue')
  if (upgrade !== undefined) fields.push('connection', 'upgrade', 'upgrade', upgrade)
  return fields
}

function responseFraming(answer: IncomingMessage, method: string): BodyFraming {
  const status = answer.statusCode ?? 0
  const length = answer.headers['content-length']
  const contentLength = length === undefined ? undefined : Number(length)
  const isEmpty = method === 'HEAD' || status === 204 || status === 304 || contentLength === 0
  return { hasBody: !isEmpty, contentLength, mayHaveTrailers: contentLength === undefined }
}

function asHttpError(cause: Error, isStale: boolean): HttpError {
  if (cause instanceof HttpError) return cause
  if (errorCode(cause).startsWith('HPE_')) return new HttpError('protocol', errorText(cause), { cause })
  return new HttpError(isStale ? 'stale' : 'closed', errorText(cause), { cause })
}

function ignore(): void {}
