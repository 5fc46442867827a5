import type { Workload } from '../../../mesh/model.ts'
import type { KubernetesObject, KubernetesObjects, OtherObject } from '../objects.ts'

/** What a check looks at: everything that the files say, and the settings of the mesh. */
export interface CheckInput {
  readonly objects: KubernetesObjects
  readonly others: readonly OtherObject[]
  /** What the objects were translated to. */
  readonly workloads: readonly Workload[]
  /** The mesh's own, then its aliases. */
  readonly trustDomains: readonly string[]
  readonly rootNamespace: string
}

/** Something that shows only among several objects, or that a cluster refuses where the config server does not. */
export interface Finding {
  /** Error: Kubernetes or Istio refuse it, or it cannot work. Warning: perhaps not as meant. */
  readonly severity: 'error' | 'warning'
  readonly object: KubernetesObject
  readonly field: string
  readonly message: string
  /** The other side of a conflict; whoever prints the message adds where it stands. */
  readonly other?: { readonly object: KubernetesObject; readonly field: string }
}

export type Check = (input: CheckInput) => readonly Finding[]

/** The `namespace/name` of the Service that a service's resource name is of, whatever the cluster's domain. */
export function objectKeyOf(serviceKey: string): string {
  const [namespace = '', hostname = ''] = serviceKey.split('/')
  const end = hostname.indexOf(`.${namespace}.svc.`)
  return end < 0 ? '' : `${namespace}/${hostname.slice(0, end)}`
}
