import type { LoadBalanceChoice } from './explain-endpoints.ts'
import type { Route, RouteStep } from './route.ts'
import type { PolicyResult, Verdict } from './verdict.ts'

/** What the destination's proxy makes of the connection. */
export interface ExplainedArrival {
  /** Uid of the workload that is reached: the endpoint, or the waypoint. */
  readonly workload: string
  /** Who judges: the ztunnel of its node, or itself. */
  readonly enforcedBy: string
  /** What policies see. Without `sourceIdentity` the connection arrives as plaintext. */
  readonly context: {
    readonly sourceIdentity?: string
    readonly sourceAddress: string
    readonly destinationAddress: string
    readonly destinationPort: number
  }
  /** Before it is judged: whether the workload may be asked for this, and on which port. */
  readonly steps: readonly RouteStep[]
  readonly verdict: Pick<Verdict, 'allowed' | 'reason' | 'message' | 'unmatched'> & {
    /** `namespace/name` of the policy that decided; absent when none did. */
    readonly policy?: string
    /** Number of its rule that matched, from 1. */
    readonly rule?: number
    readonly policies: readonly PolicyResult[]
  }
  /** After it is let through: whether the workload's waypoint must see it first. */
  readonly onward: readonly RouteStep[]
  /** What it comes to, one line. */
  readonly outcome: string
}

/** A route as plain data. */
export interface ExplainedRoute {
  readonly kind: Route['kind']
  readonly steps: readonly RouteStep[]
  /** What it comes to, one line. */
  readonly outcome: string
  /** `namespace/hostname` */
  readonly service?: string
  /** Uid of what is dialled: the endpoint, the waypoint or the gateway. */
  readonly workload?: string
  /** `ip:port` */
  readonly dial?: string
  readonly authority?: string
  readonly expectedIdentities?: readonly string[]
  readonly innerIdentities?: readonly string[]
}

/** All that the proxies would do with one connection, and why. */
export interface Explanation {
  readonly source: { readonly workload: string; readonly identity: string; readonly node: string }
  /** `ip:port` */
  readonly destination: string
  /** Absent when no proxy sees the connection leave: the source is not captured. */
  readonly route?: ExplainedRoute
  /** Every choice among endpoints on the way, in order. */
  readonly choices: readonly LoadBalanceChoice[]
  /** Absent when nothing of the mesh is reached, or nothing that this proxy knows. */
  readonly arrival?: ExplainedArrival
  /** What else an operator should know, one sentence each. */
  readonly notes: readonly string[]
}
