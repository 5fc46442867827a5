import type { Direction, ResponseFlag } from './connection-info.ts'
import type { TrafficKind, TrafficLabels } from './traffic-labels.ts'

/** What one thread has counted since its last report, for another one to add to its own. */
export interface TrafficReport {
  /** Label sets in which something has changed. */
  readonly rows: readonly TrafficRow[]
  /** Open now, not since the last report. */
  readonly sockets: Readonly<Record<Direction, number>>
  readonly folded: number
}

export interface TrafficRow extends TrafficLabels, TrafficKind {
  /** Counted under `other`. */
  readonly overflow: boolean
  readonly opened: number
  readonly closed: readonly (readonly [ResponseFlag, number])[]
  readonly sent: number
  readonly received: number
  /** Connections that are open now. */
  readonly live: number
  /** Uids of workloads that count here, those not yet reported. */
  readonly sources: readonly string[]
  readonly destinations: readonly string[]
}
