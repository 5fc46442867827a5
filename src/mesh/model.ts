/**
 * The mesh as a node proxy knows it: plain, frozen values without behaviour.
 * Decoded from Istio's workload and security APIs by `xds/`; read by every
 * lookup, route and verdict in this folder.
 *
 * Addresses are canonical text (`10.0.0.5`, `fd00::5`; an IPv4-mapped IPv6
 * address is IPv4). Ports are 1 to 65535.
 */

/** `namespace/hostname`, the resource name of a service. */
export type ServiceKey = `${string}/${string}`

/** A workload's proven or expected identity (SPIFFE: `spiffe://trustDomain/ns/namespace/sa/serviceAccount`). */
export interface Identity {
  readonly trustDomain: string
  readonly namespace: string
  readonly serviceAccount: string
}

/** An address within a network; the same address may exist in several networks. */
export interface NetworkAddress {
  readonly network: string
  readonly address: string
}

/** An address block that a service answers on (CIDR virtual address). */
export interface NetworkCidr {
  readonly network: string
  readonly cidr: string
}

/** Where a waypoint or a network gateway is found. */
export type GatewayAddress = {
  /** Port of its HBONE listener, 15008 unless said otherwise. */
  readonly hboneMtlsPort: number
} & (
  | { readonly kind: 'hostname'; readonly namespace: string; readonly hostname: string }
  | { readonly kind: 'address'; readonly network: string; readonly address: string }
)

export interface WeightedWaypoint {
  readonly destination: GatewayAddress
  readonly weight: number
}

export interface Locality {
  readonly region: string
  readonly zone: string
  readonly subzone: string
}

export type TunnelProtocol = 'NONE' | 'HBONE'
export type WorkloadType = 'DEPLOYMENT' | 'CRONJOB' | 'POD' | 'JOB'
export type HealthStatus = 'HEALTHY' | 'UNHEALTHY'
export type NetworkMode = 'STANDARD' | 'HOST_NETWORK'
export type AppProtocol = 'UNKNOWN' | 'HTTP11' | 'HTTP2' | 'GRPC' | 'TCP' | 'TLS'

/** A service port and where it leads. */
export interface Port {
  readonly servicePort: number
  /** 0 when the port is named: only the endpoint's own mapping knows the number. */
  readonly targetPort: number
  readonly appProtocol: AppProtocol
}

/** How bytes are handed to an application that wants to know the tunnel's addresses. */
export interface ApplicationTunnel {
  readonly protocol: 'NONE' | 'PROXY'
  /** Replaces the destination port when set. */
  readonly port: number | undefined
}

/** One running instance: a pod, a VM, an external endpoint. */
export interface Workload {
  /** Unique and stable; the resource name. `Kubernetes//Pod/foo/sleep`. */
  readonly uid: string
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly trustDomain: string
  readonly addresses: readonly string[]
  /** Resolved by DNS on use when there is no address. Empty when unset. */
  readonly hostname: string
  readonly network: string
  readonly node: string
  readonly clusterId: string
  readonly tunnelProtocol: TunnelProtocol
  /** Terminates HBONE by itself: never captured, no certificate prefetched here. */
  readonly nativeTunnel: boolean
  readonly applicationTunnel: ApplicationTunnel | undefined
  readonly waypoint: GatewayAddress | undefined
  readonly networkGateway: GatewayAddress | undefined
  readonly networkMode: NetworkMode
  /** The owner's name, e.g. of the Deployment. */
  readonly workloadName: string
  readonly workloadType: WorkloadType
  readonly canonicalName: string
  readonly canonicalRevision: string
  readonly services: ReadonlyMap<ServiceKey, readonly Port[]>
  /** Names (`namespace/name`) of the selector-scoped policies that apply. */
  readonly authorizationPolicies: readonly string[]
  readonly status: HealthStatus
  readonly locality: Locality
  /** Load-balancing weight, default 1. 0 is never chosen. */
  readonly capacity: number
}

export type RoutingScope = 'REGION' | 'ZONE' | 'SUBZONE' | 'NODE' | 'CLUSTER' | 'NETWORK'

export interface LoadBalancing {
  readonly routingPreference: readonly RoutingScope[]
  readonly mode: 'STANDARD' | 'STRICT' | 'FAILOVER' | 'PASSTHROUGH'
  readonly healthPolicy: 'ONLY_HEALTHY' | 'ALLOW_ALL'
}

export interface Service {
  readonly name: string
  readonly namespace: string
  /** Fully qualified, e.g. `httpbin.bar.svc.cluster.local`. */
  readonly hostname: string
  /** Virtual addresses. With `cidrs` empty too, the service is headless. */
  readonly addresses: readonly NetworkAddress[]
  readonly cidrs: readonly NetworkCidr[]
  readonly ports: readonly Port[]
  /** Identities (full `spiffe://` text, parsable ones only) that an endpoint may prove besides its own. */
  readonly subjectAltNames: readonly string[]
  readonly waypoint: GatewayAddress | undefined
  readonly weightedWaypoints: readonly WeightedWaypoint[]
  readonly loadBalancing: LoadBalancing
  readonly ipFamilies: 'AUTOMATIC' | 'IPV4_ONLY' | 'IPV6_ONLY' | 'DUAL'
  /** Wins when several services share a hostname or an address. */
  readonly canonical: boolean
  readonly visibility: 'PUBLIC' | 'NAMESPACE'
}

export type StringMatch =
  | { readonly kind: 'exact' | 'prefix' | 'suffix'; readonly value: string }
  | { readonly kind: 'presence' }

export interface ServiceAccountMatch {
  readonly namespace: string
  readonly serviceAccount: string
}

/** Field kinds combine with AND; within one kind any positive value and no negative one must hold. */
export interface PolicyMatch {
  readonly namespaces: readonly StringMatch[]
  readonly notNamespaces: readonly StringMatch[]
  readonly principals: readonly StringMatch[]
  readonly notPrincipals: readonly StringMatch[]
  readonly serviceAccounts: readonly ServiceAccountMatch[]
  readonly notServiceAccounts: readonly ServiceAccountMatch[]
  /** CIDR blocks, `10.0.0.0/8`. */
  readonly sourceIps: readonly string[]
  readonly notSourceIps: readonly string[]
  readonly destinationIps: readonly string[]
  readonly notDestinationIps: readonly string[]
  readonly destinationPorts: readonly number[]
  readonly notDestinationPorts: readonly number[]
}

/** L4 authorization policy: OR over rules, AND over a rule's clauses, OR over a clause's matches. */
export interface AuthorizationPolicy {
  readonly name: string
  readonly namespace: string
  readonly scope: 'GLOBAL' | 'NAMESPACE' | 'WORKLOAD_SELECTOR'
  readonly action: 'ALLOW' | 'DENY'
  /** Evaluated and reported, never enforced. */
  readonly dryRun: boolean
  readonly rules: readonly (readonly (readonly PolicyMatch[])[])[]
}
