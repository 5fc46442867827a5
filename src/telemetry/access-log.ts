import {
  type ConnectionEnd,
  type ConnectionEnding,
  type ConnectionInfo,
  type EarlyRejection,
  workloadPrincipal,
} from './connection-info.ts'
import { display, type LogFields } from './log-format.ts'
import type { ScopedLogger } from './logger.ts'

/**
 * Writes the lines of scope `access`: fields, their order and their values are
 * those of Istio's ztunnel (wire/ztunnel 15.4), so that what reads its log
 * reads ours. Ours besides: `waypoint`, `policy`, `trace_id` and, at debug
 * level, `route`.
 */
export class AccessLog {
  readonly #log: ScopedLogger

  constructor(log: ScopedLogger) {
    this.#log = log
  }

  /** `connection opened`, debug level. */
  opened(info: ConnectionInfo): void {
    if (!this.#log.isLevelEnabled('debug')) return
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
      ...endFields(info),
      direction: info.direction,
      bytes_sent: outbound ? sent : received,
      bytes_recv: outbound ? received : sent,
      duration: `${Math.max(0, Math.floor(durationMs))}ms`,
      error: ending.error,
      waypoint: info.waypoint === undefined ? undefined : display(info.waypoint),
      policy: ending.policy,
      trace_id: info.traceId,
    })
  }

  /** `connection failed`, warn level: nothing but addresses is known. */
  rejected({ sourceAddress, destinationAddress, direction, error }: EarlyRejection): void {
    this.#log.warn('connection failed', {
      'src.addr': display(sourceAddress),
      'dst.addr': display(destinationAddress),
      direction,
      error,
    })
  }
}

function endFields({ source, destination, secure }: ConnectionInfo): LogFields {
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
    'dst.identity': secure ? provenDestination(destination) : undefined,
    'dst.cluster': filled(destination.workload?.clusterId ?? destination.baggage?.clusterId),
  }
}

function workloadName({ workload, baggage }: ConnectionEnd): string | undefined {
  return filled(workload?.name ?? baggage?.serviceName)
}

function provenDestination({ workload, identity }: ConnectionEnd): string | undefined {
  return identity ?? (workload === undefined ? undefined : workloadPrincipal(workload))
}

function filled(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}
