import type { Cancellation } from './cancellation.ts'

/**
 * Everything that can go wrong with a tunnel.
 *
 * - `connect-failed`: the TCP connection to the peer was refused or broke.
 * - `connect-timeout`: no answer to the TCP connect.
 * - `tls`: the TLS handshake failed, on either side.
 * - `handshake-timeout`: connected, but TLS or HTTP/2 did not come up in time.
 * - `identity`: the peer's certificate is good, but it is not who it must be.
 * - `http2`: HTTP/2 failed: no `h2`, a protocol error, GOAWAY, a reset stream.
 * - `keepalive-timeout`: the peer stopped answering PINGs.
 * - `status`: the peer answered a CONNECT with something else than 200.
 * - `response-timeout`: the peer did not answer a CONNECT.
 * - `bad-method`, `bad-authority`: a request that is no HBONE CONNECT.
 * - `pool-draining`: the pool is closing and opens nothing any more.
 * - `aborted`: the caller's signal fired.
 */
export type HboneErrorCode =
  | 'connect-failed'
  | 'connect-timeout'
  | 'tls'
  | 'handshake-timeout'
  | 'identity'
  | 'http2'
  | 'keepalive-timeout'
  | 'status'
  | 'response-timeout'
  | 'bad-method'
  | 'bad-authority'
  | 'pool-draining'
  | 'aborted'

/** What an `HboneError` may carry beside its text. */
export interface HboneErrorOptions extends ErrorOptions {
  /** The `:status` of the answer, for code `status`. */
  readonly status?: number
  /** The request certainly never reached the peer, so another connection may be tried. */
  readonly unsent?: boolean
}

/**
 * An error of a tunnel. The message begins as ztunnel's does for the same
 * failure, so that alerts written for Istio's access log match.
 */
export class HboneError extends Error {
  readonly code: HboneErrorCode
  readonly status: number | undefined
  readonly unsent: boolean

  constructor(code: HboneErrorCode, message: string, options: HboneErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'HboneError'
    this.code = code
    this.status = options.status
    this.unsent = options.unsent ?? false
  }
}

/** The text of any thrown value. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The `code` of a system, TLS or HTTP/2 error (`ECONNRESET`, `ERR_HTTP2_STREAM_ERROR`); undefined if it has none. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** What `signal.reason` becomes: itself if it is an error, for the caller knows why it aborted. */
export function abortError(signal: Cancellation): Error {
  if (signal.reason instanceof Error) return signal.reason
  return new HboneError('aborted', 'connection closed: aborted', { cause: signal.reason })
}
