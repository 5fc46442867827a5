import type { NewResource } from './resource.ts'
import { ResourceTable } from './resource-table.ts'

/**
 * What a control plane serves. Replaced as a whole, so that clients never see
 * half of a change; each gets the difference to what it holds.
 */
export class ResourceCache {
  readonly #tables = new Map<string, ResourceTable>()
  readonly #listeners = new Set<() => void>()
  #ready = false
  #changedAt = 0

  /** False until the first `replace`: before, an empty answer would take away all that clients hold. */
  get ready(): boolean {
    return this.#ready
  }

  /** When the source of the present state told of it, by `performance.now()`. */
  get changedAt(): number {
    return this.#changedAt
  }

  /** The resources of a type; undefined for a type that is not served. */
  table(typeUrl: string): ResourceTable | undefined {
    return this.#tables.get(typeUrl)
  }

  typeUrls(): readonly string[] {
    return [...this.#tables.keys()]
  }

  /**
   * Puts all types in force at once. A type that was there and is not named any
   * more is served empty. `knownAt`: when this became known, by
   * `performance.now()`; default now.
   */
  replace(types: ReadonlyMap<string, Iterable<NewResource>>, knownAt = performance.now()): void {
    let changed = !this.#ready
    for (const typeUrl of new Set([...this.#tables.keys(), ...types.keys()])) {
      const table = this.#tables.get(typeUrl) ?? new ResourceTable()
      this.#tables.set(typeUrl, table)
      if (table.replace(types.get(typeUrl) ?? [])) changed = true
    }
    this.#ready = true
    if (!changed) return
    this.#changedAt = knownAt
    for (const listener of [...this.#listeners]) listener()
  }

  /** Called after every change. Must not throw. Returns the function that ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}
