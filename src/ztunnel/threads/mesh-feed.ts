import { deserialize, serialize } from 'node:v8'
import { type MeshChange, type MeshStore, type MeshUpdate, policyName } from '../../mesh/index.ts'

/** Takes encoded changes. */
export type FeedReceiver = (changes: Uint8Array) => void

/** A change is a kilobyte or less: a slice is put in within some 10 ms. What belongs together mostly has fewer. */
const SLICE = 500

/**
 * Sends the mesh on, to stores on other threads: each receiver gets what is there when it comes, in slices, and from
 * then on every change. Encoded once, however many receivers there are.
 */
export class MeshFeed {
  readonly #mesh: MeshStore
  readonly #receivers = new Set<FeedReceiver>()
  readonly #unsubscribe: () => void

  constructor(mesh: MeshStore) {
    this.#mesh = mesh
    this.#unsubscribe = mesh.subscribe((update) => this.#onUpdate(update))
  }

  /**
   * Resolves when the receiver has been given all that there is. What changes meanwhile may reach it before the slice
   * that it belongs to; that slice is made later and holds the change as well.
   */
  async add(receive: FeedReceiver): Promise<void> {
    this.#receivers.add(receive)
    for (const changes of slices(this.#everything())) {
      if (!this.#receivers.has(receive)) return
      receive(serialize(changes))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  remove(receive: FeedReceiver): void {
    this.#receivers.delete(receive)
  }

  close(): void {
    this.#unsubscribe()
    this.#receivers.clear()
  }

  #onUpdate(update: MeshUpdate): void {
    if (this.#receivers.size === 0) return
    for (const changes of slices(this.#changesOf(update))) {
      const bytes = serialize(changes)
      for (const receive of this.#receivers) receive(bytes)
    }
  }

  *#everything(): Iterable<MeshChange> {
    for (const policy of this.#mesh.policies()) yield { kind: 'upsert-policy', policy }
    for (const service of this.#mesh.services()) yield { kind: 'upsert-service', service }
    for (const workload of this.#mesh.workloads()) yield { kind: 'upsert-workload', workload }
  }

  /** What is there now says what became of each part. */
  *#changesOf({ workloads, services, policies }: MeshUpdate): Iterable<MeshChange> {
    // Few and seldom changed, so that there is no look-up by name.
    const byName = policies.length === 0 ? undefined : Map.groupBy(this.#mesh.policies(), policyName)
    for (const name of policies) {
      const policy = byName?.get(name)?.[0]
      yield policy === undefined ? { kind: 'remove-policy', name } : { kind: 'upsert-policy', policy }
    }
    for (const key of services) {
      const service = this.#mesh.service(key)
      yield service === undefined ? { kind: 'remove-service', key } : { kind: 'upsert-service', service }
    }
    for (const uid of workloads) {
      const workload = this.#mesh.workload(uid)
      yield workload === undefined ? { kind: 'remove-workload', uid } : { kind: 'upsert-workload', workload }
    }
  }
}

/** The changes in what a receiver was given. */
export function decodeChanges(bytes: Uint8Array): readonly MeshChange[] {
  return deserialize(bytes)
}

function* slices(changes: Iterable<MeshChange>): Iterable<readonly MeshChange[]> {
  let slice: MeshChange[] = []
  for (const change of changes) {
    if (slice.push(change) < SLICE) continue
    yield slice
    slice = []
  }
  if (slice.length > 0) yield slice
}
