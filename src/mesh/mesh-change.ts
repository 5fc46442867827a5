import type { AuthorizationPolicy, Service, ServiceKey, Workload } from './model.ts'

/** One change to the mesh; an upsert replaces the whole value. */
export type MeshChange =
  /** `isShared`: its parts are out of a {@link ValuePool} already, and the store keeps it as it is. */
  | { readonly kind: 'upsert-workload'; readonly workload: Workload; readonly isShared?: true }
  | { readonly kind: 'remove-workload'; readonly uid: string }
  | { readonly kind: 'upsert-service'; readonly service: Service }
  | { readonly kind: 'remove-service'; readonly key: ServiceKey }
  /** A removal from the Address API, which does not say of what: a workload's uid is tried first, then a service's key. */
  | { readonly kind: 'remove-address'; readonly name: string }
  | { readonly kind: 'upsert-policy'; readonly policy: AuthorizationPolicy }
  /** `namespace/name`. */
  | { readonly kind: 'remove-policy'; readonly name: string }

/** What a batch of changes touched, each once: put in, replaced or removed. What is there now says which. */
export interface MeshUpdate {
  readonly revision: number
  /** Uids. */
  readonly workloads: readonly string[]
  readonly services: readonly ServiceKey[]
  /** `namespace/name`. */
  readonly policies: readonly string[]
}

/** Hears of every batch that changed something, after the whole of it is in. Must not throw. */
export type MeshListener = (update: MeshUpdate) => void
