import type { ObjectMeta } from './objects.ts'

/** What runs outside the pods: a machine, or an address on another network. */
export interface EndpointSpec {
  /** IP address as canonical text, or a hostname. */
  readonly address: string
  /** By name of the service's port: the number that it has here. */
  readonly ports: ReadonlyMap<string, number>
  readonly labels: Readonly<Record<string, string>>
  /** Empty: the cluster's. */
  readonly network: string
  /** `region/zone/subzone`, the latter two optional. Empty when unknown. */
  readonly locality: string
  /** Load-balancing weight. */
  readonly weight: number
  /** Empty when it proves no identity. */
  readonly serviceAccount: string
}

/** `networking.istio.io` WorkloadEntry. Its metadata has the labels of its spec too. */
export interface WorkloadEntry {
  readonly kind: 'WorkloadEntry'
  readonly metadata: ObjectMeta
  readonly spec: EndpointSpec
}

export interface ServiceEntryPort {
  readonly number: number
  readonly name: string
  readonly protocol: string
  readonly targetPort: number
}

export type Resolution = 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS'

/** `networking.istio.io` ServiceEntry. */
export interface ServiceEntry {
  readonly kind: 'ServiceEntry'
  readonly metadata: ObjectMeta
  readonly spec: {
    /** Lower case, without wildcards. At least one. */
    readonly hosts: readonly string[]
    /** IP addresses, and address blocks (`address/length`, host bits cleared). */
    readonly addresses: readonly string[]
    readonly ports: readonly ServiceEntryPort[]
    readonly resolution: Resolution
    readonly endpoints: readonly EndpointSpec[]
    /** Pods and WorkloadEntries of the namespace that are endpoints too. */
    readonly workloadSelector: Readonly<Record<string, string>> | undefined
    readonly subjectAltNames: readonly string[]
  }
  readonly status: {
    /** Virtual addresses that istiod allocated. */
    readonly addresses: readonly { readonly value: string; readonly host: string | undefined }[]
  }
}
