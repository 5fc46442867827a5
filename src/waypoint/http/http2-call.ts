import { type ClientHttp2Stream, constants } from 'node:http2'
import type { HttpHeaders } from '../../mesh/http/request.ts'
import { resetLater } from './connection-end.ts'
import type { BodyFraming } from './downstream.ts'
import { errorCode, errorText, HttpError } from './errors.ts'
import type { ForwardTarget } from './exchange.ts'
import { endToEndFields, fieldsObject, trailerFields } from './header-fields.ts'
import type { Http2Connection, Http2Upstream } from './http2-upstream.ts'
import type { UpstreamCall, UpstreamHandlers, UpstreamRequest, Waiter } from './upstream-call.ts'

/** Begins a request over HTTP/2. */
export function callHttp2(
  upstream: Http2Upstream,
  target: ForwardTarget,
  request: UpstreamRequest,
  handlers: UpstreamHandlers,
): UpstreamCall {
  const call = new Http2Call(request, handlers)
  upstream.acquire(call, target.connect)
  return call
}

class Http2Call implements UpstreamCall, Waiter<Http2Connection> {
  readonly #request: UpstreamRequest
  readonly #handlers: UpstreamHandlers
  #stream: ClientHttp2Stream | undefined
  #outgoing: HttpHeaders = []
  #incoming: HttpHeaders = []
  #answered = false
  #over = false

  constructor(request: UpstreamRequest, handlers: UpstreamHandlers) {
    this.#request = request
    this.#handlers = handlers
  }

  get cancelled(): boolean {
    return this.#over
  }

  ready(connection: Http2Connection): void {
    const stream = this.#open(connection)
    if (stream === undefined) return
    this.#stream = stream
    stream.on('error', (error) => this.#fail(asHttpError(error, stream)))
    stream.on('headers', ({ ':status': status = 0 }, _flags, raw: string[]) => {
      if (!this.#over) this.#handlers.onInformation({ status, headers: endToEndFields(raw) })
    })
    stream.on('response', (headers, flags, raw: string[]) => {
      const isEmpty = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
      this.#onResponse(stream, headers[':status'] ?? 0, isEmpty, raw)
    })
    stream.on('trailers', (_headers, _flags, raw: string[]) => {
      this.#incoming = trailerFields(raw)
    })
    stream.once('wantTrailers', () => stream.sendTrailers(fieldsObject(this.#outgoing)))
    stream.once('end', () => this.#onEnd(stream))
    stream.once('close', () => this.#fail(closedError(stream)))
    this.#handlers.onReady(this, stream)
  }

  failed(error: HttpError): void {
    this.#over = true
    this.#handlers.onFailure(error)
  }

  finish(trailers: HttpHeaders): void {
    this.#outgoing = trailers
    if (this.#stream?.writable) this.#stream.end()
  }

  /** The head is out at once. */
  flush(): void {}

  trailers(): HttpHeaders {
    return this.#incoming
  }

  abort(): void {
    this.#over = true
    if (this.#stream !== undefined) resetLater(this.#stream, constants.NGHTTP2_CANCEL)
  }

  #open(connection: Http2Connection): ClientHttp2Stream | undefined {
    const { framing, upgrade } = this.#request
    if (upgrade !== undefined) {
      this.#fail(new HttpError('protocol', `no ${upgrade} over HTTP/2`))
      return undefined
    }
    try {
      return connection.request(requestFields(this.#request), {
        endStream: !framing.hasBody,
        waitForTrailers: framing.hasBody,
      })
    } catch (cause) {
      // Filters may have made something of the head that Node does not let out.
      this.#fail(new HttpError('protocol', `request cannot be sent: ${errorText(cause)}`, { cause }))
      return undefined
    }
  }

  #onResponse(stream: ClientHttp2Stream, status: number, isEmpty: boolean, raw: readonly string[]): void {
    if (this.#over) return
    this.#answered = true
    const framing = responseFraming(raw, isEmpty, status, this.#request.head.method)
    this.#handlers.onHead({ status, headers: endToEndFields(raw, LENGTH) }, framing, stream)
  }

  #onEnd(stream: ClientHttp2Stream): void {
    // Node ends the readable side of a stream that was reset, too.
    if (!this.#answered || stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR) return
    this.#over = true
    // What the upstream does not want of the request, nobody needs to send.
    if (!stream.writableEnded) resetLater(stream, constants.NGHTTP2_CANCEL)
  }

  #fail(error: HttpError): void {
    if (this.#over) return
    this.#over = true
    this.#handlers.onFailure(error)
  }
}

const LENGTH: ReadonlySet<string> = new Set(['content-length'])

function requestFields({ head, framing, expectsContinue }: UpstreamRequest): string[] {
  const fields = [':method', head.method, ':scheme', head.scheme, ':path', head.path]
  if (head.authority !== '') fields.push(':authority', head.authority)
  for (let index = 0; index + 1 < head.headers.length; index += 2) {
    const name = head.headers[index] ?? ''
    if (name !== 'content-length') fields.push(name, head.headers[index + 1] ?? '')
  }
  if (framing.contentLength !== undefined) fields.push('content-length', String(framing.contentLength))
  if (expectsContinue) fields.push('expect', '100-continue')
  return fields
}

function responseFraming(
  raw: readonly string[],
  isEmpty: boolean,
  status: number,
  method: string,
): BodyFraming {
  let contentLength: number | undefined
  for (let index = 0; index < raw.length; index += 2) {
    if (raw[index] === 'content-length') contentLength = Number(raw[index + 1])
  }
  const hasBody = !isEmpty && method !== 'HEAD' && status !== 204 && status !== 304
  // HTTP/2 says by END_STREAM what HTTP/1.1 says by a length; HEAD and 304 speak of another answer's body.
  if (isEmpty && method !== 'HEAD' && status !== 304) contentLength ??= 0
  return { hasBody, contentLength, mayHaveTrailers: true }
}

function asHttpError(cause: Error, stream: ClientHttp2Stream): HttpError {
  if (cause instanceof HttpError) return cause
  const code = errorCode(cause)
  if (code === 'ERR_HTTP2_STREAM_ERROR' || stream.rstCode !== constants.NGHTTP2_NO_ERROR)
    return resetError(stream, cause)
  if (code === 'ERR_HTTP2_GOAWAY_SESSION') return new HttpError('refused', errorText(cause), { cause })
  if (code === 'ERR_HTTP2_ERROR') return new HttpError('protocol', errorText(cause), { cause })
  return new HttpError('closed', errorText(cause), { cause })
}

function closedError(stream: ClientHttp2Stream): HttpError {
  if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) return resetError(stream)
  return new HttpError('closed', 'the upstream closed the stream without an answer')
}

function resetError(stream: ClientHttp2Stream, cause?: Error): HttpError {
  const code = stream.rstCode ?? constants.NGHTTP2_INTERNAL_ERROR
  const kind = code === constants.NGHTTP2_REFUSED_STREAM ? 'refused' : 'reset'
  return new HttpError(kind, `the upstream reset the stream, code ${code}`, { cause })
}
