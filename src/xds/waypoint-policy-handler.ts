import type { WaypointPolicy } from '../mesh/http/policy-model.ts'
import type { PolicyChanges } from '../mesh/http/policy-table.ts'
import { policyName } from '../mesh/names.ts'
import { invalid } from './decode-fields.ts'
import { decodeWaypointPolicy } from './decode-waypoint-policy.ts'
import type { ResourceBatch, ResourceHandler } from './handler.ts'
import { WAYPOINT_POLICY_TYPE } from './type-urls.ts'

/** Takes a batch of changes as one; a `WaypointPolicyTable` is one. */
export interface WaypointPolicyTarget {
  apply(changes: PolicyChanges): void
}

/** Puts policies into a waypoint. A refused policy leaves the one of its name in force as it was. */
export class WaypointPolicyHandler implements ResourceHandler {
  readonly typeUrl = WAYPOINT_POLICY_TYPE
  /** Without a policy something might be let in that must not be: the waypoint does not get ready. */
  readonly syncedDespiteRejections = false
  readonly #target: WaypointPolicyTarget

  constructor(target: WaypointPolicyTarget) {
    this.#target = target
  }

  batch(): ResourceBatch {
    const upserts: WaypointPolicy[] = []
    const removals: string[] = []
    return {
      update: (name, bytes) => {
        const policy = decodeWaypointPolicy(bytes)
        // Under another name it could never be taken away again.
        if (policyName(policy) !== name) throw invalid(`the resource is ${policyName(policy)}`)
        upserts.push(policy)
      },
      remove: (name) => void removals.push(name),
      commit: () => void this.#target.apply({ upserts, removals }),
    }
  }
}
