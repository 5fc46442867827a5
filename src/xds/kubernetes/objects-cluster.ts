import type { ObjectMeta } from './objects.ts'

/** `v1` Node: where its pods are, by its labels. */
export interface Node {
  readonly kind: 'Node'
  readonly metadata: ObjectMeta
}

/** `v1` ConfigMap. Only the mesh's own, `istio`, says anything. */
export interface ConfigMap {
  readonly kind: 'ConfigMap'
  readonly metadata: ObjectMeta
  /** `data.mesh` of one named `istio`. */
  readonly meshConfig: MeshConfig | undefined
}

/** Istio's MeshConfig, the fields that concern node proxies. */
export interface MeshConfig {
  readonly trustDomain: string | undefined
  readonly trustDomainAliases: readonly string[]
  readonly rootNamespace: string | undefined
  /** Fields that look like one of the above, mistyped, and which that may be. */
  readonly mistyped: readonly { readonly field: string; readonly meant: string }[]
}
