import { explainUnmatched, explainVerdict } from '../mesh/explain.ts'
import type { Verdict } from '../mesh/verdict.ts'
import type { Clock } from './clock.ts'
import {
  type ConnectionEnd,
  type ConnectionEnding,
  type ConnectionInfo,
  type EarlyRejection,
  workloadPrincipal,
} from './connection-info.ts'
import { display, type LogFields } from './log-format.ts'
import type { ScopedLogger } from './logger.ts'
import { WarningLimiter } from './warning-limiter.ts'

/**
 * Writes the lines of scope `access`: fields, their order and their values are
 * those of Istio's ztunnel (wire/ztunnel 15.4), so that what reads its log
 * reads ours. Ours besides: `waypoint`, `policy` and the `rule` of it that
 * decided, `trace_id` and, at debug level, `route` and `verdict`. Of what policy
 * refused also `judged`, whom and what the policies saw, and `unmatched`, those
 * that could have allowed it.
 */
export class AccessLog {
  readonly #log: ScopedLogger
  readonly #rejections: WarningLimiter

  constructor(log: ScopedLogger, clock?: Clock) {
    this.#log = log
    this.#rejections = new WarningLimiter({
      burst: REJECTIONS_LOGGED,
      ...(clock === undefined ? {} : { clock }),
    })
  }

  /** Whether the steps of a route are written. */
  get explains(): boolean {
    return this.#log.isLevelEnabled('debug')
  }

  /** `connection opened`, debug level. */
  opened(info: ConnectionInfo): void {
    if (!this.explains) return
    this.#log.debug('connection opened', {
      ...endFields(info),
      direction: info.direction,
      route: info.steps?.map(({ step, detail }) => `${step}: ${detail}`).join('; '),
      trace_id: info.traceId,
    })
  }

  /** `connection complete`: info level, or error level with `error=` when it did not end well. */
  closed(info: ConnectionInfo, ending: ConnectionEnding, durationMs: number): void {
    const level = ending.error === undefined ? 'info' : 'error'
    if (!this.#log.isLevelEnabled(level)) return
    // Counts are the client's view; the log is the local workload's, on either side.
    const { sent, received } = info.counts
    const outbound = info.direction === 'outbound'
    this.#log[level]('connection complete', {
      ...endFields(info, ending.peerIdentity),
      direction: info.direction,
      bytes_sent: outbound ? sent : received,
      bytes_recv: outbound ? received : sent,
      duration: `${Math.max(0, Math.floor(durationMs))}ms`,
      error: ending.error,
      waypoint: info.waypoint === undefined ? undefined : display(info.waypoint),
      policy: ending.policy,
      rule: ending.verdict?.rule,
      unmatched: unmatchedText(ending.verdict),
      judged: ending.judged,
      verdict: this.explains ? verdictText(ending.verdict) : undefined,
      trace_id: info.traceId,
    })
  }

  /**
   * `connection failed`, warn level: nothing but addresses is known. Whoever
   * can connect can cause it as often as he likes, so it is bounded by cause
   * and workload; the lines of connections that were carried never are.
   */
  rejected(rejection: EarlyRejection): void {
    const { sourceAddress, destinationAddress, direction, error } = rejection
    this.#rejections.warn(this.#log, causeOf(rejection), 'connection failed', {
      'src.addr': display(sourceAddress),
      'dst.addr': display(destinationAddress),
      direction,
      error,
    })
  }
}

/** `connection failed` lines of one cause in 10 s: enough to read, nothing to fill a disk with. */
const REJECTIONS_LOGGED = 50

/** Direction, our own workload's address, and the text up to where it quotes the peer. */
function causeOf({ sourceAddress, destinationAddress, direction, error }: EarlyRejection): string {
  const own = direction === 'inbound' ? destinationAddress : sourceAddress
  return `${direction} ${own.replace(/:\d+$/, '')} ${error.split(':', 1)[0]}`
}

function unmatchedText(verdict: Verdict | undefined): string | undefined {
  return verdict?.unmatched === undefined ? undefined : explainUnmatched(verdict.unmatched)
}

/** The whole match tree in one line. */
function verdictText(verdict: Verdict | undefined): string | undefined {
  return verdict === undefined
    ? undefined
    : explainVerdict(verdict)
        .map((line) => line.trim())
        .join('; ')
}

/** Both ends, by Istio’s names. */
export function endFields(
  { source, destination, secure }: Omit<ConnectionInfo, 'counts'>,
  peerIdentity?: string,
): LogFields {
  const { hboneAddress, service } = destination
  return {
    'src.addr': display(source.address),
    'src.workload': workloadName(source),
    'src.namespace': filled(source.workload?.namespace ?? source.baggage?.namespace),
    'src.identity': secure ? source.identity : undefined,
    'src.cluster': filled(source.workload?.clusterId ?? source.baggage?.clusterId),
    'dst.addr': display(destination.address),
    'dst.hbone_addr': hboneAddress === undefined ? undefined : display(hboneAddress),
    'dst.service': service?.hostname,
    'dst.workload': workloadName(destination),
    'dst.namespace': filled(destination.workload?.namespace ?? destination.baggage?.namespace),
    'dst.identity': secure ? (peerIdentity ?? expectedIdentity(destination)) : undefined,
    'dst.cluster': filled(destination.workload?.clusterId ?? destination.baggage?.clusterId),
  }
}

function workloadName({ workload, baggage }: ConnectionEnd): string | undefined {
  return filled(workload?.name ?? baggage?.serviceName)
}

/** Whom one end of a secure connection is. */
export function expectedIdentity({ workload, identity }: ConnectionEnd): string | undefined {
  return identity ?? (workload === undefined ? undefined : workloadPrincipal(workload))
}

function filled(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}
