import type { Service, Workload } from '../mesh/model.ts'
import type { RouteStep } from '../mesh/route.ts'
import type { Verdict } from '../mesh/verdict.ts'

/** Seen from the workload that the proxy serves. */
export type Direction = 'inbound' | 'outbound'

/** How a connection ended, as Istio's `response_flags` label has it; `-` when nothing went wrong. */
export type ResponseFlag =
  | '-'
  | 'DENY'
  | 'CONNECT'
  | 'TLS_FAILURE'
  | 'H2_HANDSHAKE_FAILURE'
  | 'NETWORK_POLICY'
  | 'IDENTITY_ERROR'
  | 'CERT_REVOKED'

/** What a peer's `baggage` header says about itself. Not proven: for labels only. */
export interface BaggageNames {
  readonly clusterId?: string | undefined
  readonly namespace?: string | undefined
  readonly workloadName?: string | undefined
  readonly serviceName?: string | undefined
  readonly serviceVersion?: string | undefined
  readonly region?: string | undefined
  readonly zone?: string | undefined
}

/** One end of a connection. */
export interface ConnectionEnd {
  /** `ip:port`. */
  readonly address: string
  /** As looked up in the mesh; wins over `baggage`. */
  readonly workload?: Workload | undefined
  readonly baggage?: BaggageNames | undefined
  /** SPIFFE id, proven by mutual TLS (the own one on the own side). */
  readonly identity?: string | undefined
}

/** Bytes moved so far; the pump adds to them in place. */
export interface ByteCounts {
  /** Client to upstream. */
  sent: number
  /** Upstream to client. */
  received: number
}

/** All that is recorded of one connection. */
export interface ConnectionInfo {
  readonly direction: Direction
  /** Of a proxy that is neither end's own; absent, the direction tells. */
  readonly reporter?: 'waypoint' | undefined
  readonly source: ConnectionEnd
  readonly destination: ConnectionEnd & {
    /** The CONNECT's `:authority`. */
    readonly hboneAddress?: string | undefined
    readonly service?: Service | undefined
  }
  /** Whether mutual TLS protects it between the proxies. */
  readonly secure: boolean
  /** 32 hexadecimal digits, from `traceparent`: joins the lines of both proxies. */
  readonly traceId?: string | undefined
  readonly counts: ByteCounts
  /** `ip:port` of the destination's waypoint, when the destination's proxy sent the connection there. */
  readonly waypoint?: string | undefined
  /** Why it goes where it goes; written at debug level. */
  readonly steps?: readonly RouteStep[] | undefined
}

/** How a connection ended. */
export interface ConnectionEnding {
  /** What went wrong; absent for a connection that ended well. */
  readonly error?: string | undefined
  /** Default: `CONNECT` with an error, `-` without. */
  readonly flag?: ResponseFlag | undefined
  /** SPIFFE id that the dialled side proved; absent, the expected one of `destination` is shown. */
  readonly peerIdentity?: string | undefined
  /** `namespace/name` of the policy that decided. */
  readonly policy?: string | undefined
  /** What policies made of it: the rule that decided is written, and at debug level all that led there. */
  readonly verdict?: Verdict | undefined
  /** Whom and what the policies saw that refused it; absent for what was not refused by policy. */
  readonly judged?: string | undefined
}

/** A connection that ended before anything was known about its ends. */
export interface EarlyRejection {
  readonly sourceAddress: string
  readonly destinationAddress: string
  readonly direction: Direction
  readonly error: string
}

/** The SPIFFE id that a workload is expected to prove (wire/ztunnel 9.2). */
export function workloadPrincipal(workload: Workload): string {
  const trustDomain = workload.trustDomain === '' ? 'cluster.local' : workload.trustDomain
  const serviceAccount = workload.serviceAccount === '' ? 'default' : workload.serviceAccount
  return `spiffe://${trustDomain}/ns/${workload.namespace}/sa/${serviceAccount}`
}
