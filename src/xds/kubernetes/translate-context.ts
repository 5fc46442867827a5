import type { MeshIndex } from './mesh-index.ts'
import type { KubernetesObject, KubernetesObjects } from './objects.ts'
import type { SlicedPods } from './translate-endpoint-slice.ts'
import type { PublishedEntry } from './translate-service-entry.ts'

export interface TranslateOptions {
  /** Default the MeshConfig's, else `cluster.local`. */
  readonly trustDomain?: string | undefined
  readonly clusterId: string
  /** DNS domain of the cluster. Default `cluster.local`. */
  readonly domain?: string
  /** Its policies without selector hold for the whole mesh. Default the MeshConfig's, else `istio-system`. */
  readonly rootNamespace?: string
  /**
   * Whether policies marked `istio.io/dry-run` are sent, to be evaluated and
   * logged only. Default false, as istiod's
   * AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY.
   */
  readonly dryRunPolicies?: boolean
}

/** What a translation step may know, defaults filled in. */
export interface TranslateContext extends Required<Omit<TranslateOptions, 'trustDomain'>> {
  readonly trustDomain: string
  readonly objects: KubernetesObjects
  /** Network of the cluster: label `topology.istio.io/network` of `istio-system`. */
  readonly network: string
  /** Other names of the mesh's trust domain, by its MeshConfig: policies that name one mean all. */
  readonly trustDomainAliases: readonly string[]
  /** The ServiceEntries and the hosts that each speaks for. */
  readonly published: readonly PublishedEntry[]
  readonly index: MeshIndex
  /** Pods that EndpointSlices name. */
  readonly slicedPods: SlicedPods
  /** `other`: the other side of a conflict, whose place is added to the message. */
  warn(object: KubernetesObject, field: string, message: string, other?: FieldOf): void
}

/** Something that is in force, but perhaps not as its author meant it. */
export interface TranslateWarning {
  readonly object: KubernetesObject
  readonly field: string
  readonly message: string
  readonly other?: FieldOf
}

/** A field of an object. */
export interface FieldOf {
  readonly object: KubernetesObject
  readonly field: string
}
