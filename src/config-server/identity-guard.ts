import type { Caller, SpiffeId } from '../identity/index.ts'
import { type MeshChange, MeshStore, type Workload } from '../mesh/index.ts'

/**
 * Which identities a node's proxy may ask certificates for: those of the
 * captured or self-tunnelling workloads that run on its node.
 */
export class IdentityGuard {
  readonly #store = new MeshStore()
  readonly #clusterId: string
  #present: ReadonlyMap<string, Workload> = new Map()

  constructor(clusterId: string) {
    this.#clusterId = clusterId
  }

  /** The mesh as it is now. What did not change since the last call costs nothing if it is the same object. */
  replace(workloads: readonly Workload[]): void {
    const changes: MeshChange[] = []
    const present = new Map<string, Workload>()
    for (const workload of workloads) {
      // A pod outside of the mesh has no proxy that could need its identity.
      if (workload.tunnelProtocol !== 'HBONE') continue
      present.set(workload.uid, workload)
      if (this.#present.get(workload.uid) !== workload) changes.push({ kind: 'upsert-workload', workload })
    }
    for (const uid of this.#present.keys()) {
      if (!present.has(uid)) changes.push({ kind: 'remove-workload', uid })
    }
    this.#present = present
    this.#store.apply(changes)
  }

  /** A reason to refuse, for the operator; undefined to sign. */
  refusal(caller: Caller, { namespace, serviceAccount }: SpiffeId): string | undefined {
    if (caller.kind !== 'node') return 'only the proxy of a node may ask for another identity'
    if (this.#store.hasIdentityOnNode(caller.node, namespace, serviceAccount, this.#clusterId))
      return undefined
    return `no captured workload with service account ${namespace}/${serviceAccount} runs on node ${caller.node}`
  }
}
