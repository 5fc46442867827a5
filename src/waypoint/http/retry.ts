import type { Outcome } from './attempt.ts'
import { isRetriable } from './errors.ts'
import type { RetryOptions } from './exchange.ts'

/** Envoy's base interval between tries. */
export const RETRY_BACKOFF_MS = 25
/** Unit times the base. As Envoy's `max_interval`. */
export const MAX_BACKOFF_FACTOR = 10
/**
 * Unit tries. Idle connections that turn out to be closed, one after the
 * other, before the next try counts: an upstream that was restarted closed all of them.
 */
export const MAX_STALE_ATTEMPTS = 3

/** RFC 9110 section 9.2.2. */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method)
}

/** Whether what a route asks for includes another try after this one. */
export function isWorthAnotherTry(outcome: Outcome, { codes }: RetryOptions): boolean {
  if (outcome.kind === 'upgraded') return false
  if (outcome.kind === 'answered') return codes.includes(outcome.head.status)
  return isRetriable(outcome.error.code) || outcome.error.code === 'timeout'
}

/**
 * The upstream closed an idle connection as the request came, which may be
 * repeated if it is idempotent; or it refused the stream and has not looked at
 * it (RFC 9113 section 8.7). Not the request's fault, so nobody has to have
 * asked for another try.
 */
export function isUnseen(outcome: Outcome, method: string): boolean {
  if (outcome.kind !== 'failed') return false
  const { code } = outcome.error
  return code === 'refused' || (code === 'stale' && isIdempotent(method))
}

/** The pause before the next try, milliseconds, when `tries` have failed; random, or all would come back at once. */
export function backoffMs(tries: number, { backoffMs: base = RETRY_BACKOFF_MS }: RetryOptions): number {
  const factor = Math.min(2 ** (tries - 1), MAX_BACKOFF_FACTOR)
  return base * factor * (0.5 + Math.random() / 2)
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])
