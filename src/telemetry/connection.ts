import { AccessLog, expectedIdentity } from './access-log.ts'
import { type Clock, systemClock } from './clock.ts'
import type { ConnectionEnding, ConnectionInfo, EarlyRejection } from './connection-info.ts'
import type { ScopedLogger } from './logger.ts'
import type { OpenTraffic, TrafficMetrics } from './traffic-metrics.ts'

export interface ConnectionTelemetryOptions {
  /** Scope `access`. */
  readonly log: ScopedLogger
  readonly metrics: TrafficMetrics
  readonly clock?: Clock
}

/** The record of one connection; whoever opened it closes it once. */
export interface OpenConnection {
  /** Writes the access line and counts the end. Does nothing the second time. */
  close(ending?: ConnectionEnding): void
}

/** A connection that is open now, as `/connections` shows it. */
export interface LiveConnection {
  readonly direction: ConnectionInfo['direction']
  readonly source: string
  readonly sourceWorkload: string | undefined
  readonly sourceIdentity: string | undefined
  readonly destination: string
  readonly hboneAddress: string | undefined
  readonly service: string | undefined
  readonly destinationWorkload: string | undefined
  readonly destinationIdentity: string | undefined
  readonly secure: boolean
  readonly traceId: string | undefined
  readonly bytesSent: number
  readonly bytesReceived: number
  readonly ageMs: number
}

/** What Istio's ztunnel writes for connections that its own end cuts off. */
export const DRAIN_ERROR = 'connection closed due to connection drain'

/** Records connections: opened and closed, in the access log and in the metrics, and which are open now. */
export class ConnectionTelemetry {
  readonly #access: AccessLog
  readonly #metrics: TrafficMetrics
  readonly #clock: Clock
  readonly #live = new Set<ConnectionRecord>()

  constructor({ log, metrics, clock = systemClock }: ConnectionTelemetryOptions) {
    this.#access = new AccessLog(log, clock)
    this.#metrics = metrics
    this.#clock = clock
  }

  /** Whether `steps` of a connection are of use to anybody now. */
  get explains(): boolean {
    return this.#access.explains
  }

  /**
   * Outbound: before dialling. Inbound: before the verdict. (wire/ztunnel 14.1)
   * `startedAt` is for a connection that began earlier, on the clock's monotonic scale.
   */
  open(info: ConnectionInfo, startedAt = this.#clock.monotonic()): OpenConnection {
    const record = new ConnectionRecord(info, this.#metrics.open(info), startedAt, this.#onClose)
    this.#live.add(record)
    this.#access.opened(info)
    return record
  }

  /** A connection refused before its ends were known: a warning, and no counter (wire/ztunnel 14.1). */
  rejectedEarly(rejection: EarlyRejection): void {
    this.#access.rejected(rejection)
  }

  /** At the end of the drain deadline: records what is still open as drained, without a response flag. */
  closeAll(error: string = DRAIN_ERROR): void {
    for (const record of [...this.#live]) {
      this.#live.delete(record)
      this.#finish(record, { error }, '-')
    }
  }

  /** What is open now, oldest first. */
  connections(): LiveConnection[] {
    const now = this.#clock.monotonic()
    return [...this.#live].map((record) => record.describe(now))
  }

  readonly #onClose = (record: ConnectionRecord, ending: ConnectionEnding): void => {
    if (this.#live.delete(record)) this.#finish(record, ending, ending.flag ?? defaultFlag(ending))
  }

  #finish(
    record: ConnectionRecord,
    ending: ConnectionEnding,
    flag: NonNullable<ConnectionEnding['flag']>,
  ): void {
    record.traffic.close(flag)
    this.#access.closed(record.info, ending, this.#clock.monotonic() - record.startedAt)
  }
}

class ConnectionRecord implements OpenConnection {
  readonly info: ConnectionInfo
  readonly traffic: OpenTraffic
  readonly startedAt: number
  readonly #onClose: (record: ConnectionRecord, ending: ConnectionEnding) => void

  constructor(
    info: ConnectionInfo,
    traffic: OpenTraffic,
    startedAt: number,
    onClose: (record: ConnectionRecord, ending: ConnectionEnding) => void,
  ) {
    this.info = info
    this.traffic = traffic
    this.startedAt = startedAt
    this.#onClose = onClose
  }

  close(ending: ConnectionEnding = {}): void {
    this.#onClose(this, ending)
  }

  describe(now: number): LiveConnection {
    const { direction, source, destination, secure, traceId, counts } = this.info
    return {
      direction,
      source: source.address,
      sourceWorkload: source.workload?.name ?? source.baggage?.workloadName,
      sourceIdentity: secure ? source.identity : undefined,
      destination: destination.address,
      hboneAddress: destination.hboneAddress,
      service: destination.service?.hostname,
      destinationWorkload: destination.workload?.name ?? destination.baggage?.workloadName,
      destinationIdentity: secure ? expectedIdentity(destination) : undefined,
      secure,
      traceId,
      bytesSent: counts.sent,
      bytesReceived: counts.received,
      ageMs: Math.floor(now - this.startedAt),
    }
  }
}

function defaultFlag(ending: ConnectionEnding): 'CONNECT' | '-' {
  return ending.error === undefined ? '-' : 'CONNECT'
}
