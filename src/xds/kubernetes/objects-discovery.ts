import type { ObjectMeta } from './objects.ts'

/** `discovery.k8s.io` EndpointSlice: endpoints of a service that no selector picks. */
export interface EndpointSlice {
  readonly kind: 'EndpointSlice'
  readonly metadata: ObjectMeta
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN'
  readonly endpoints: readonly SliceEndpoint[]
  readonly ports: readonly SlicePort[]
}

export interface SliceEndpoint {
  /** Canonical text; hostnames in a slice of type FQDN. At least one. */
  readonly addresses: readonly string[]
  readonly ready: boolean
  /** What stands behind the addresses: a Pod has a workload of its own. */
  readonly targetRef: { readonly kind: string; readonly name: string } | undefined
}

export interface SlicePort {
  /** Of the service's port; empty if that has none. */
  readonly name: string
  /** Undefined: all ports. */
  readonly port: number | undefined
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
}
