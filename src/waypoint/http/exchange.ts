import type { Duplex, Readable } from 'node:stream'
import type { HttpHeaders, HttpRequestHead } from '../../mesh/http/request.ts'

/** How two ends speak HTTP: 1.0 and 1.1 alike, or HTTP/2 with prior knowledge (h2c). */
export type HttpProtocol = 'http1' | 'http2'

/** Status and end-to-end header fields of an answer; framing is the engine's business. */
export interface HttpResponseHead {
  /** 200 to 599, or 101 for an upgrade. */
  readonly status: number
  readonly headers: HttpHeaders
}

/**
 * Why an exchange went otherwise than it should, by the letters that Envoy's
 * `%RESPONSE_FLAGS%` has for it:
 *
 * - `DC`: the client went away, or broke the protocol, before it had the whole answer.
 * - `UF`: no connection to the upstream.
 * - `UC`: the upstream closed the connection before its answer was whole.
 * - `UR`: the upstream reset the stream.
 * - `UPE`: what the upstream sent is no HTTP.
 * - `UT`: a time-out of the request, or of its last try.
 * - `UO`: as many connections and waiting requests as the pool allows.
 * - `URX`: all tries are used up.
 * - `LR`: we ended it ourselves: the connection is being closed.
 */
export type ResponseFlag = 'DC' | 'UF' | 'UC' | 'UR' | 'UPE' | 'UT' | 'UO' | 'URX' | 'LR'

/** Where one try of a request goes. */
export interface ForwardTarget {
  /** Requests with the same key may share connections; it stands for endpoint and identity. */
  readonly upstreamKey: string
  readonly protocol: HttpProtocol
  /**
   * Opens a connection when the pool has none. Called at most once per
   * connection; the pool owns the stream from then on. Rejects with the reason
   * that goes into the log.
   */
  readonly connect: () => Promise<Duplex>
}

/** Tries after the first one. None happens once the answer's head is on its way to the client. */
export interface RetryOptions {
  /** Tries beside the first, at most. */
  readonly attempts: number
  /** Statuses that are tried again; a failed connection or one that broke before the answer is in any case. */
  readonly codes: readonly number[]
  /** Before the first further try, milliseconds; twice as long before each one after it, up to ten times; or down to half of it, at random. Default 25. */
  readonly backoffMs?: number | undefined
  /** Where the next try goes; without it, to the same target. A rejection ends the trying. */
  readonly nextTry?: (() => Promise<ForwardTarget>) | undefined
}

/** A request to be sent on. */
export interface ForwardOptions extends ForwardTarget {
  /** As routing left it. Fields that frame the body are put right by the engine. */
  readonly head: HttpRequestHead
  /** For the whole exchange, from now to the answer's last byte, milliseconds. Default, and 0: none. */
  readonly requestTimeoutMs?: number | undefined
  /** For one try, to the answer's last byte, milliseconds. Default, and 0: none. */
  readonly perTryTimeoutMs?: number | undefined
  readonly retry?: RetryOptions | undefined
  /** Changes the answer's head before the client sees it. Not called for 1xx, nor for our own answers. */
  readonly mapResponse?: ((head: HttpResponseHead) => HttpResponseHead) | undefined
}

/** A copy of a request whose answer nobody reads. */
export interface MirrorOptions extends ForwardTarget {
  readonly head: HttpRequestHead
  /** How the copy fared, for the log: undefined when it was answered. */
  readonly onDone?: ((error: Error | undefined) => void) | undefined
}

/** How an exchange went; what an access log and metrics need. */
export interface ForwardResult {
  /** What the client got; 0 when it went away before any answer. */
  readonly status: number
  /** From the answer's trailers, or its head when it has none; undefined without `grpc-status`. */
  readonly grpcStatus: number | undefined
  /** Of the bodies, as they went over the client's connection. */
  readonly requestBytes: number
  readonly responseBytes: number
  /** From the request's head to the end of the exchange, milliseconds. */
  readonly durationMs: number
  /** From the request's head to the head of the upstream's answer; undefined if there was none. */
  readonly upstreamMs: number | undefined
  readonly flags: readonly ResponseFlag[]
  /** 0 for an answer of our own that no upstream was asked for. */
  readonly tries: number
  /** Of the last try. */
  readonly upstreamKey: string | undefined
  /** What went wrong, in words for the log. */
  readonly detail: string | undefined
}

/**
 * One request and its answer, whatever the version of HTTP. Exactly one of
 * `respond` and `forward` is called, once; `mirror` before `forward`.
 */
export interface HttpExchange {
  /** How the client speaks. */
  readonly protocol: HttpProtocol
  /** HTTP version as Istio logs it. */
  readonly version: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2'
  /**
   * Checked, without hop-by-hop fields (RFC 9110 section 7.6.1) and `host`;
   * the path is normalized; `x-request-id` and `x-forwarded-proto` are there.
   */
  readonly head: HttpRequestHead
  /** The request's body. `forward` reads it; whoever answers by `respond` may leave it alone. */
  readonly body: Readable
  /** The client waits for 100 before it sends the body; `forward` passes the upstream's on. */
  readonly expectsContinue: boolean
  /** The protocol that the client asks to change to, in lower case: `websocket`. */
  readonly upgrade: string | undefined
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal

  /**
   * Answers in place of an upstream. A gRPC request gets status 200 and the
   * `grpc-status` that stands for `status`. Never rejects.
   */
  respond(status: number, headers?: HttpHeaders, body?: string): Promise<ForwardResult>
  /** Sends the request on, and the answer back. Resolves when all is over. Never rejects. */
  forward(options: ForwardOptions): Promise<ForwardResult>
  /** Sends a copy of what `forward` is going to send, and forgets about it. */
  mirror(options: MirrorOptions): void
}
