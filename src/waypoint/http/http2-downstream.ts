import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Duplex, Writable } from 'node:stream'
import type { HttpHeaders } from '../../mesh/http/request.ts'
import { resetLater } from './connection-end.ts'
import type { BodyFraming, Downstream } from './downstream.ts'
import type { HttpResponseHead } from './exchange.ts'
import { fieldsObject, trailerFields, withoutFields } from './header-fields.ts'

/** The client of one stream of HTTP/2. */
export class Http2Downstream implements Downstream {
  readonly protocol = 'http2'
  readonly version = 'HTTP/2'
  readonly body: ServerHttp2Stream
  readonly #onClose: ((complete: boolean) => void)[] = []
  #incoming: HttpHeaders = []
  #outgoing: HttpHeaders = []

  constructor(stream: ServerHttp2Stream) {
    this.body = stream
    stream.on('trailers', (_headers: object, _flags: number, raw?: string[]) => {
      this.#incoming = trailerFields(raw ?? [])
    })
    stream.once('wantTrailers', () => {
      stream.sendTrailers(fieldsObject(this.#outgoing))
      if (!stream.readableEnded) endEarly(stream)
    })
  }

  requestTrailers(): HttpHeaders {
    return this.#incoming
  }

  sendInformation(head: HttpResponseHead): void {
    const stream = this.body
    if (stream.headersSent || stream.destroyed || stream.closed) return
    stream.additionalHeaders({ ':status': head.status, ...fieldsObject(head.headers) })
  }

  sendHead(head: HttpResponseHead, framing: BodyFraming): Writable {
    const stream = this.body
    if (stream.destroyed || stream.closed) return stream
    const headers = [':status', String(head.status), ...withoutFields(head.headers, CONNECTION_FIELDS)]
    if (framing.contentLength !== undefined && head.status !== 204)
      headers.push('content-length', String(framing.contentLength))
    const waitForTrailers = framing.hasBody && framing.mayHaveTrailers
    // The upstream's date goes on; `sendDate` is Node's own, though its types do not have it.
    const options = { endStream: !framing.hasBody, waitForTrailers, sendDate: false }
    stream.respond(headers, options)
    if (!waitForTrailers)
      stream.once('finish', () => {
        if (!stream.readableEnded) endEarly(stream)
      })
    return stream
  }

  /** The head is out at once. */
  flush(): void {}

  finish(trailers: HttpHeaders): void {
    this.#outgoing = trailerFields(trailers)
    if (this.body.writable) this.body.end()
  }

  switchProtocols(): Duplex | undefined {
    return undefined
  }

  abort(): void {
    resetLater(this.body, constants.NGHTTP2_INTERNAL_ERROR)
  }

  onClose(listener: (complete: boolean) => void): void {
    if (this.#onClose.push(listener) > 1) return
    const stream = this.body
    const onClose = (): void => {
      const complete = stream.writableFinished && !stream.aborted
      for (const each of this.#onClose.splice(0)) each(complete)
    }
    stream.once('finish', onClose).once('aborted', onClose).once('close', onClose)
  }
}

/** HTTP/2 has none of these; an upstream of HTTP/1.1 may have sent them by a filter. */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set(['connection', 'upgrade', 'keep-alive'])

/** The answer is out, and what the client still sends is not wanted (RFC 9113 section 8.1). */
function endEarly(stream: ServerHttp2Stream): void {
  resetLater(stream, constants.NGHTTP2_NO_ERROR)
}
