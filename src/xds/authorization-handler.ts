import type { MeshChange } from '../mesh/mesh-change.ts'
import type { MeshTarget } from './address-handler.ts'
import { decodeAuthorization } from './decode.ts'
import type { ResourceBatch, ResourceHandler } from './handler.ts'
import { AUTHORIZATION_TYPE } from './type-urls.ts'

/** Puts L4 policies into a mesh. */
export class AuthorizationHandler implements ResourceHandler {
  readonly typeUrl = AUTHORIZATION_TYPE
  readonly syncedDespiteRejections = false
  readonly #target: MeshTarget

  constructor(target: MeshTarget) {
    this.#target = target
  }

  batch(): ResourceBatch {
    const changes: MeshChange[] = []
    const removals: MeshChange[] = []
    return {
      update: (_name, bytes) =>
        void changes.push({ kind: 'upsert-policy', policy: decodeAuthorization(bytes) }),
      remove: (name) => void removals.push({ kind: 'remove-policy', name }),
      commit: () => void this.#target.apply([...changes, ...removals]),
    }
  }
}
