import type { MeshChange } from '../mesh/mesh-change.ts'
import type { Workload } from '../mesh/model.ts'
import { shareParts, ValuePool } from '../mesh/value-pool.ts'
import { decodeAddress } from './decode.ts'
import type { ResourceBatch, ResourceHandler } from './handler.ts'
import { Interner } from './interner.ts'
import { ADDRESS_TYPE } from './type-urls.ts'

/** Takes a batch of changes as one; a `MeshStore` is one. */
export interface MeshTarget {
  apply(changes: Iterable<MeshChange>): unknown
}

/** Puts workloads and services into a mesh: updates first, removals after (wire/ztunnel 10.7). */
export class AddressHandler implements ResourceHandler {
  readonly typeUrl = ADDRESS_TYPE
  readonly syncedDespiteRejections = true
  readonly onDemand: boolean
  readonly #target: MeshTarget
  readonly #interner = new Interner()
  readonly #pool = new ValuePool()

  constructor(target: MeshTarget, options: { readonly onDemand?: boolean } = {}) {
    this.#target = target
    this.onDemand = options.onDemand ?? false
  }

  batch(): ResourceBatch {
    const changes: MeshChange[] = []
    const removals: MeshChange[] = []
    return {
      update: (name, bytes) => {
        const address = decodeAddress(bytes, this.#interner, name)
        if (address.kind === 'workload') changes.push(this.#upsert(address.workload))
        else changes.push({ kind: 'upsert-service', service: address.service })
      },
      remove: (name) => void removals.push({ kind: 'remove-address', name }),
      commit: () => void this.#target.apply([...changes, ...removals]),
    }
  }

  /** Shared while it is decoded: of a whole mesh, what is only garbage would otherwise wait for the last workload. */
  #upsert(workload: Workload): MeshChange {
    return { kind: 'upsert-workload', workload: shareParts(workload, this.#pool), isShared: true }
  }
}
