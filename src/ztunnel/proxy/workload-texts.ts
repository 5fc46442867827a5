import { encodeBaggage } from '../../hbone/index.ts'
import { type Identity, identityUri, type Workload, workloadIdentity } from '../../mesh/index.ts'
import { workloadBaggage } from './baggage.ts'

/**
 * What is said of one workload again and again, made once. A workload never
 * changes: the mesh puts another in its place, and these texts go with it.
 */
export class WorkloadTexts {
  static readonly #workloads = new WeakMap<Workload, WorkloadTexts>()
  static readonly #peers = new WeakMap<Identity, string>()
  /** Its SPIFFE URI. */
  readonly uri: string
  /** The `baggage` header that tells peers about it. */
  readonly baggage: string

  private constructor(workload: Workload) {
    this.uri = identityUri(workloadIdentity(workload))
    this.baggage = encodeBaggage(workloadBaggage(workload))
  }

  static of(workload: Workload): WorkloadTexts {
    const known = WorkloadTexts.#workloads.get(workload)
    if (known !== undefined) return known
    const texts = new WorkloadTexts(workload)
    WorkloadTexts.#workloads.set(workload, texts)
    return texts
  }

  /** The SPIFFE URI of a peer: one text for all streams of its connection. */
  static ofPeer(identity: Identity): string {
    const known = WorkloadTexts.#peers.get(identity)
    if (known !== undefined) return known
    const uri = identityUri(identity)
    WorkloadTexts.#peers.set(identity, uri)
    return uri
  }
}
