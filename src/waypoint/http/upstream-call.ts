import type { Duplex, Readable, Writable } from 'node:stream'
import type { HttpHeaders, HttpRequestHead } from '../../mesh/http/request.ts'
import type { BodyFraming } from './downstream.ts'
import type { HttpError } from './errors.ts'
import type { HttpResponseHead } from './exchange.ts'

/** A request as it goes out. */
export interface UpstreamRequest {
  readonly head: HttpRequestHead
  readonly framing: BodyFraming
  readonly expectsContinue: boolean
  readonly upgrade: string | undefined
}

/** What comes back. After `onFailure` or `onUpgrade` nothing else does. */
export interface UpstreamHandlers {
  /** There is a connection, and the head is on its way: the body may follow. */
  onReady(call: UpstreamCall, sink: Writable): void
  onInformation(head: HttpResponseHead): void
  /** `body` ends by itself, or `onFailure` says that it does not. */
  onHead(head: HttpResponseHead, framing: BodyFraming, body: Readable): void
  onUpgrade(head: HttpResponseHead, stream: Duplex): void
  onFailure(error: HttpError): void
}

/** One request to an upstream, from before there is a connection. */
export interface UpstreamCall {
  /** The request's body is over. */
  finish(trailers: HttpHeaders): void
  /** Sends a head that waits for the first bytes of its body. */
  flush(): void
  /** The answer's trailers, when its body has ended. */
  trailers(): HttpHeaders
  /** Gives it up; no handler is called any more. */
  abort(): void
}

/** Somebody who waits for a connection. */
export interface Waiter<Connection> {
  /** Needs none any more, and is passed over. */
  readonly cancelled: boolean
  ready(connection: Connection): void
  failed(error: HttpError): void
}
