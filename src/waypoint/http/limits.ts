/** What a client may make us hold or wait for. All of it is optional. */
export interface HttpLimits {
  /** Request line and header fields of HTTP/1 together, or the header list of HTTP/2. Default 60 KiB. */
  readonly maxHeaderBytes?: number | undefined
  /** Header fields of one message. Default 100. */
  readonly maxHeaders?: number | undefined
  /** Length of the request target. Default 16 KiB. */
  readonly maxTargetBytes?: number | undefined
  /** Length of a request's body. Default: none, bodies are streamed and never held. */
  readonly maxBodyBytes?: number | undefined
  /** For a request's head, from its first byte to its last, milliseconds. Default 10 s. */
  readonly headersTimeoutMs?: number | undefined
  /** Without a request, milliseconds; then the connection is closed. Default 1 h. */
  readonly idleTimeoutMs?: number | undefined
  /** Requests on one connection of HTTP/1, then it is closed. Default: none. */
  readonly maxRequestsPerConnection?: number | undefined
  /** Streams that an HTTP/2 client may have open. Default 100. */
  readonly maxConcurrentStreams?: number | undefined
}

/** `HttpLimits` with every default filled in. */
export interface EffectiveLimits {
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  readonly maxTargetBytes: number
  readonly maxBodyBytes: number
  readonly headersTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxRequestsPerConnection: number
  readonly maxConcurrentStreams: number
}

/** Envoy's `max_request_headers_kb`. */
export const MAX_HEADER_SIZE = 60 * 1024
/** Unit fields. Envoy's `max_headers_count`. */
export const MAX_HEADERS = 100
/** Twice what RFC 9110 section 4.1 asks everybody to support. */
export const MAX_TARGET_BYTES = 16 * 1024
/** A head is one packet or a few; who takes longer holds a connection for nothing. */
export const HEADERS_TIMEOUT_MS = 10_000
/** Envoy's `idle_timeout` of a connection. */
export const IDLE_TIMEOUT_MS = 3_600_000
/** Unit streams. As Istio's waypoints announce. */
export const MAX_CONCURRENT_STREAMS = 100
/**
 * Unit requests. Pipelined requests wait for the answer before theirs. One read is
 * some 2000 of the shortest, and reading stops when one waits; a client that
 * means it sends dozens.
 */
export const MAX_PIPELINED = 1024
/**
 * What is kept of a request's body to send it again. More than a form or an
 * RPC has; a larger body is streamed, and tried once.
 */
export const REPLAY_BYTES = 64 * 1024
/** A mirror that is so far behind the client is given up, for nothing waits for it. */
export const MIRROR_BACKLOG_BYTES = 256 * 1024
/**
 * How long a client that had its answer early may go on sending a body that
 * nobody wants. If it met a closed connection, the answer could be lost.
 */
export const DISCARD_MS = 2000

export function effectiveLimits(limits: HttpLimits = {}): EffectiveLimits {
  return {
    maxHeaderBytes: limits.maxHeaderBytes ?? MAX_HEADER_SIZE,
    maxHeaders: limits.maxHeaders ?? MAX_HEADERS,
    maxTargetBytes: limits.maxTargetBytes ?? MAX_TARGET_BYTES,
    maxBodyBytes: limits.maxBodyBytes ?? Number.POSITIVE_INFINITY,
    headersTimeoutMs: limits.headersTimeoutMs ?? HEADERS_TIMEOUT_MS,
    idleTimeoutMs: limits.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    maxRequestsPerConnection: limits.maxRequestsPerConnection ?? Number.POSITIVE_INFINITY,
    maxConcurrentStreams: limits.maxConcurrentStreams ?? MAX_CONCURRENT_STREAMS,
  }
}
