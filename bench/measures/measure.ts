import type { BenchMesh } from '../bench-mesh.ts'
import type { BenchOptions } from '../options.ts'
import type { Peer, RunningProxy, Variant } from '../peers/peer.ts'
import type { Program } from '../programs.ts'
import type { Role, Seat } from '../seat.ts'

/** Figures of one run by their keys; one that cannot be had is absent. */
export type Sample = Readonly<Record<string, number>>

/** One number of a measure. */
export interface Figure {
  readonly key: string
  readonly title: string
  readonly unit: string
  readonly digits: number
}

/** What one proxy was charged with during a run. */
export interface Account {
  readonly role: Role
  readonly cpuSeconds: number
  /** Most that was resident in it, bytes. */
  readonly peakBytes: number
}

export interface MeasureContext {
  readonly mesh: BenchMesh
  readonly seat: Seat
  readonly peer: Peer
  /** None for a direct connection. */
  readonly proxies: readonly RunningProxy[]
  readonly options: BenchOptions
  /** Cheaper than a client of our own; absent where it cannot be had. */
  readonly wrk: Program | undefined
}

/** One thing that is measured at one peer after the other. */
export interface Measure {
  readonly name: string
  readonly title: string
  /** The first one is shown as it is measured. */
  readonly figures: readonly Figure[]
  /** Default `normal`. */
  readonly variant?: Variant
  /** The proxies are started for it and have done nothing before. Default false. */
  readonly fresh?: boolean
  /** One round is enough: it takes long, and long is steady. Default false. */
  readonly once?: boolean
  /** Also in `--quick`. Default false. */
  readonly quick?: boolean
  /** Says nothing without a proxy. Default false. */
  readonly proxiesOnly?: boolean
  run(context: MeasureContext): Promise<Sample>
  /** More figures, of what the run was charged with. */
  derive?(sample: Sample, accounts: readonly Account[]): Sample
}

/** CPU seconds of both proxies for each of something; absent without a proxy or of nothing. */
export function cpuPer(key: string, count: number, accounts: readonly Account[], factor = 1): Sample {
  if (accounts.length === 0 || !(count > 0)) return {}
  const seconds = accounts.reduce((total, { cpuSeconds }) => total + cpuSeconds, 0)
  return { [key]: (seconds * factor) / count }
}
