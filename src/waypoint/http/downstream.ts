import type { Duplex, Readable, Writable } from 'node:stream'
import type { HttpHeaders } from '../../mesh/http/request.ts'
import type { HttpExchange, HttpProtocol, HttpResponseHead } from './exchange.ts'

/** How the end of a body is told. */
export interface BodyFraming {
  /** False when the head is all, as with HEAD or 304, whatever `contentLength` says. */
  readonly hasBody: boolean
  /** What `content-length` says; undefined without it. */
  readonly contentLength: number | undefined
  /** Whether fields may come after the body. */
  readonly mayHaveTrailers: boolean
}

/** The client's side of one exchange, HTTP/1 or HTTP/2. Methods do nothing once the client is gone. */
export interface Downstream {
  readonly protocol: HttpProtocol
  readonly version: HttpExchange['version']
  /** The request's body. */
  readonly body: Readable
  /** The request's trailers, when its body has ended. */
  requestTrailers(): HttpHeaders
  /** An interim answer, 100 to 199 but not 101. */
  sendInformation(head: HttpResponseHead): void
  /** Where the body goes; `finish` ends it. */
  sendHead(head: HttpResponseHead, framing: BodyFraming): Writable
  /** Sends a head that waits for the first bytes of its body. */
  flush(): void
  finish(trailers: HttpHeaders): void
  /** Answers 101, and gives the connection away; undefined where the client did not ask for it. */
  switchProtocols(head: HttpResponseHead): Duplex | undefined
  /** Cuts the answer off so that the client knows it is not whole. */
  abort(): void
  /** Called once when the exchange is over; `complete` when the whole answer was handed over. */
  onClose(listener: (complete: boolean) => void): void
}
