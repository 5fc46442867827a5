import type { ResponseFlag } from './exchange.ts'

/**
 * Everything that can end a request that is sent on.
 *
 * - `connect-failed`: no connection to the upstream; the cause says why.
 * - `overflow`: as many connections and waiting requests as the pool allows.
 * - `draining`: the pool is closing and opens nothing any more.
 * - `closed`: the upstream closed the connection before its answer was whole.
 * - `stale`: a connection that had been idle was closed before anything of an
 *   answer: most likely the upstream closed it as the request was on its way.
 * - `refused`: the upstream refused the stream and has not looked at it.
 * - `reset`: the upstream reset the stream.
 * - `protocol`: what the upstream sent is no HTTP.
 * - `timeout`: a time-out of ours.
 * - `client-gone`: the client went away, or broke the protocol.
 * - `body-too-large`: the request's body is larger than we allow.
 */
export type HttpErrorCode =
  | 'connect-failed'
  | 'overflow'
  | 'draining'
  | 'closed'
  | 'stale'
  | 'refused'
  | 'reset'
  | 'protocol'
  | 'timeout'
  | 'client-gone'
  | 'body-too-large'

/** A request that could not be sent on, or whose answer could not be sent back. */
export class HttpError extends Error {
  readonly code: HttpErrorCode

  constructor(code: HttpErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'HttpError'
    this.code = code
  }
}

/** The letters that the access log has for an error. */
export const FLAG_OF: Readonly<Record<HttpErrorCode, ResponseFlag>> = {
  'connect-failed': 'UF',
  overflow: 'UO',
  draining: 'LR',
  closed: 'UC',
  stale: 'UC',
  refused: 'UR',
  reset: 'UR',
  protocol: 'UPE',
  timeout: 'UT',
  'client-gone': 'DC',
  'body-too-large': 'DC',
}

const RETRIABLE: ReadonlySet<HttpErrorCode> = new Set([
  'connect-failed',
  'closed',
  'stale',
  'refused',
  'reset',
])

/** Whether another try may succeed: the upstream has not begun to answer. */
export function isRetriable(code: HttpErrorCode): boolean {
  return RETRIABLE.has(code)
}

/** The text of any thrown value. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The `code` of a system or HTTP error; empty if it has none. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
