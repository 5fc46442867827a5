import { Code, ConnectError } from '@connectrpc/connect'

/** Why a stream ended, the `reason` label of `istio_xds_connection_terminations`. */
export type TerminationReason = 'ConnectionError' | 'Reconnect' | 'Error' | 'Complete'

/** How a stream went. */
export interface StreamOutcome {
  /** Undefined: the server closed it in good order. */
  readonly error: unknown
  /** Whether the server took the stream: its headers came. */
  readonly opened: boolean
  /** Whether it sent a response on it. */
  readonly answered: boolean
}

/** What to do after a stream. */
export interface Reconnect {
  readonly reason: TerminationReason
  readonly delayMs: number
  /** To be handed in next time. */
  readonly backoffMs: number
}

/** First delay, and the one after a routine end, milliseconds. */
export const MIN_BACKOFF_MS = 10
export const MAX_BACKOFF_MS = 15_000

/**
 * When to try again, as Istio's ztunnel does (wire/ztunnel 10.10): failures
 * double the delay, a control plane that restarts or sheds streams resets it.
 * Unlike there, a server that ends streams without a response counts as
 * failing, so that it is not called in a tight loop.
 */
export function reconnectAfter(outcome: StreamOutcome, previousBackoffMs: number): Reconnect {
  const growing = Math.min(MAX_BACKOFF_MS, Math.max(MIN_BACKOFF_MS, 2 * previousBackoffMs))
  const reason = reasonOf(outcome)
  if (outcome.answered && reason === 'Complete') return { reason, delayMs: 0, backoffMs: previousBackoffMs }
  if (outcome.answered && reason === 'Reconnect')
    return { reason, delayMs: MIN_BACKOFF_MS, backoffMs: MIN_BACKOFF_MS }
  return { reason, delayMs: growing, backoffMs: growing }
}

const ROUTINE_CODES: ReadonlySet<Code> = new Set([Code.Unknown, Code.Canceled, Code.DeadlineExceeded])
const ROUTINE_TEXTS = ['transport is closing', 'received prior goaway']

function reasonOf({ error, opened }: StreamOutcome): TerminationReason {
  if (error === undefined) return 'Complete'
  if (!opened && isUnreachable(error)) return 'ConnectionError'
  return isRoutine(error, opened) ? 'Reconnect' : 'Error'
}

/** Not a gRPC status from the server: name, route, TLS or roots. */
function isUnreachable(error: unknown): boolean {
  return !(error instanceof ConnectError) || (error.code === Code.Unavailable && error.cause !== undefined)
}

function isRoutine(error: unknown, opened: boolean): boolean {
  if (!(error instanceof ConnectError)) return false
  // Before any answer these codes are a server that does not serve, not one that recycles its streams.
  if (ROUTINE_CODES.has(error.code)) return opened
  if (error.code !== Code.Unavailable && error.code !== Code.Aborted) return false
  // A connection lost under an open stream is this library's form of "transport is closing".
  return (
    opened && (error.cause !== undefined || ROUTINE_TEXTS.some((text) => error.rawMessage.includes(text)))
  )
}
