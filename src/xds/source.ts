import type { WaypointPolicy } from '../mesh/http/policy-model.ts'
import type { Route } from '../mesh/http/route-model.ts'
import type { AuthorizationPolicy, Service, Workload } from '../mesh/model.ts'

/** A whole mesh, as a source describes it at one moment. */
export interface SourceSnapshot {
  readonly workloads: readonly Workload[]
  readonly services: readonly Service[]
  readonly policies: readonly AuthorizationPolicy[]
  /** Those that waypoints follow. Default none. */
  readonly routes?: readonly Route[]
  /** Those that are bound to waypoints and to Services behind them, with their L7 fields. Default none. */
  readonly waypointPolicies?: readonly WaypointPolicy[]
}

/** Something that a source cannot use as it stands, or only in part. One line each. */
export interface SourceProblem {
  readonly severity: 'error' | 'warning'
  /** Where and what: `file:line:column: field: message` from a folder. */
  readonly text: string
}

export interface SourceStatus {
  /** Names the source for people: `folder /etc/mesh`. */
  readonly source: string
  /** False while the source was never read as a whole: what it describes may lack a policy. */
  readonly complete: boolean
  readonly problems: readonly SourceProblem[]
  /** What the source is made of, if parts can be told apart: files and their states. */
  readonly parts: readonly { readonly name: string; readonly state: string; readonly objects: number }[]
}

/**
 * Where a config server's mesh comes from: a folder of YAML today. The config
 * server keeps no state of its own, so several can serve the same source.
 */
export interface Source {
  /**
   * Begins to deliver: calls `onMesh` with a complete mesh whenever it
   * changed, the first time before it resolves if there is one. Without a
   * complete mesh nothing is delivered; what was delivered stays in force.
   * Rejects when the source cannot be reached at all.
   */
  start(onMesh: (mesh: SourceSnapshot) => void): Promise<void>
  status(): SourceStatus
  close(): Promise<void>
}
