import type { Service, Workload } from './model.ts'

/** An address and a port to dial. */
export interface SocketAddress {
  readonly address: string
  readonly port: number
}

/** One step of a decision, in the order taken; together they explain the route. */
export interface RouteStep {
  /** Stable name of the step, e.g. `service-lookup`, `load-balance`, `passthrough`. */
  readonly step: string
  /** What was found and why it decided as it did, for an operator. */
  readonly detail: string
}

/**
 * Set when the workload to dial has no address: `dial.address` is its hostname,
 * and `withResolvedAddress` puts in what DNS said.
 */
export interface DnsTarget {
  readonly hostname: string
  /** The client's family, preferred among the answers. */
  readonly family: 4 | 6
  /** Set when `authority` names the dialled address: the port to write after it. */
  readonly authorityPort?: number
}

interface RouteBase {
  readonly steps: readonly RouteStep[]
  /** The service that the client asked for, if any. */
  readonly service: Service | undefined
  /** The workload that is dialled: the endpoint, the waypoint or the gateway. */
  readonly workload: Workload | undefined
}

/** What to do with a connection that a captured workload opened. */
export type Route =
  | (RouteBase & {
      readonly kind: 'hbone'
      readonly dial: SocketAddress
      /** `:authority` of the CONNECT: what the far side is asked to reach. */
      readonly authority: string
      /** Full SPIFFE ids, any of which the far side must prove. */
      readonly expectedIdentities: readonly string[]
      /** Whether the far side is the endpoint itself or a waypoint before it. */
      readonly via: 'endpoint' | 'waypoint'
      readonly dns?: DnsTarget
    })
  /** A tunnel to another network's gateway, and within it a tunnel to the far endpoint (wire/ztunnel 3.9). */
  | (RouteBase & {
      readonly kind: 'double-hbone'
      /** The gateway. */
      readonly dial: SocketAddress
      /** `:authority` of both CONNECTs: the service's hostname and the port that the client dialled. */
      readonly authority: string
      /** Full SPIFFE ids, any of which the gateway must prove. */
      readonly expectedIdentities: readonly string[]
      /** Full SPIFFE ids, any of which the far endpoint must prove: those that its service vouches for. Never empty. */
      readonly innerIdentities: readonly string[]
      readonly dns?: DnsTarget
    })
  | (RouteBase & { readonly kind: 'tcp'; readonly dial: SocketAddress; readonly dns?: DnsTarget })
  /** Not of this mesh: raw TCP to where the client wanted to go. */
  | (RouteBase & { readonly kind: 'passthrough'; readonly dial: SocketAddress })
  | (RouteBase & {
      readonly kind: 'refused'
      readonly code: RouteRefusal
      /** The operator's text; wire/ztunnel 3.19 wording. */
      readonly message: string
    })

export type RouteRefusal =
  | 'self-call'
  | 'no-healthy-upstream'
  | 'unknown-waypoint'
  | 'no-valid-destination'
  | 'unknown-network-gateway'
  | 'no-service-for-target-address'
  | 'no-service-identities'
