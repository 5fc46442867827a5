import { ChangeJournal } from './change-journal.ts'
import { encodeResources } from './encode-resources.ts'
import { NameIndex } from './name-index.ts'
import { type CachedResource, type NewResource, versionOf } from './resource.ts'

/** What a client lacks. */
export interface ResourceChanges {
  readonly changed: readonly CachedResource[]
  readonly removed: readonly string[]
  /** Those of `changed` that took effect everywhere before and do so only where they are named now. */
  readonly narrowed: ReadonlySet<string>
}

/**
 * All resources of one type, in their present state. Clients remember a
 * generation, and get what changed since: the cost of a push is that of the
 * change, not that of the mesh.
 */
export class ResourceTable {
  readonly #resources = new Map<string, CachedResource>()
  /** From the first resources on, which are new to everybody. */
  #journal: ChangeJournal | undefined
  /** Generation in which a resource became selective. */
  readonly #narrowedAt = new Map<string, number>()
  /** Of the present generation: clients that keep up ask for the same. */
  readonly #changesSince = new Map<number, ResourceChanges>()
  /** Made when the first on-demand client asks. */
  #index: NameIndex | undefined
  #generation = 0
  #everything: { readonly generation: number; readonly bytes: Uint8Array } | undefined

  get resources(): ReadonlyMap<string, CachedResource> {
    return this.#resources
  }

  /** Grows with every change. */
  get generation(): number {
    return this.#generation
  }

  /** Puts these in place of what there is; false when nothing differs. Names must be unique. */
  replace(resources: Iterable<NewResource>): boolean {
    const generation = this.#generation + 1
    const before = new Map<string, string | undefined>()
    const present = new Set<string>()
    for (const resource of resources) {
      present.add(resource.name)
      const known = this.#resources.get(resource.name)
      if (known === resource) continue
      const version = resource.version ?? versionOf(resource.value)
      if (known?.version === version) continue
      if (!before.has(resource.name)) before.set(resource.name, known?.version)
      this.#put(isCached(resource) ? resource : { ...resource, version }, known, generation)
    }
    if (present.size !== this.#resources.size) this.#removeOthers(present, before)
    if (before.size > 0) this.#generation = generation
    if (this.#journal === undefined) this.#journal = new ChangeJournal(this.#generation)
    else if (before.size > 0) this.#journal.add(generation, before)
    this.#changesSince.clear()
    if (before.size > 0) this.#everything = undefined
    return before.size > 0
  }

  /** Undefined for a client that is so far behind that it must say anew what it holds. */
  changesSince(generation: number): ResourceChanges | undefined {
    const known = this.#changesSince.get(generation)
    if (known !== undefined) return known
    const names = this.#journal?.since(generation)
    if (names === undefined) return undefined
    const changed: CachedResource[] = []
    const removed: string[] = []
    const narrowed = new Set<string>()
    for (const [name, before] of names) {
      const resource = this.#resources.get(name)
      if (resource === undefined) {
        if (before !== undefined) removed.push(name)
      } else if (resource.version !== before) {
        changed.push(resource)
        if ((this.#narrowedAt.get(name) ?? 0) > generation) narrowed.add(name)
      }
    }
    const changes = { changed, removed, narrowed }
    this.#changesSince.set(generation, changes)
    return changes
  }

  /** Against what a client says it holds. */
  changesFrom(held: ReadonlyMap<string, string>): ResourceChanges {
    const changed: CachedResource[] = []
    for (const resource of this.#resources.values()) {
      if (held.get(resource.name) !== resource.version) changed.push(resource)
    }
    const removed = [...held.keys()].filter((name) => !this.#resources.has(name))
    return { changed, removed, narrowed: new Set() }
  }

  /** The `resources` of a response with all of them, encoded: made once for all clients that are new. */
  everything(typeUrl: string): Uint8Array {
    if (this.#everything?.generation !== this.#generation) {
      const bytes = encodeResources(this.#resources.values(), typeUrl)
      this.#everything = { generation: this.#generation, bytes }
    }
    return this.#everything.bytes
  }

  /** What a client gets that asks for one name: the resource of that name or alias, and those it brings along. */
  resolve(name: string): readonly CachedResource[] {
    this.#index ??= new NameIndex(this.#resources.values())
    const own = this.#resources.get(name)
    const named = own === undefined ? [...this.#index.named(name)] : [own]
    return named.flatMap((resource) => [resource, ...(this.#index?.members(resource.name) ?? [])])
  }

  #put(resource: CachedResource, known: CachedResource | undefined, generation: number): void {
    const { name, selective = false } = resource
    if (!selective) this.#narrowedAt.delete(name)
    else if (known !== undefined && known.selective !== true) this.#narrowedAt.set(name, generation)
    if (known !== undefined) this.#index?.remove(known)
    this.#index?.add(resource)
    this.#resources.set(name, resource)
  }

  #removeOthers(present: ReadonlySet<string>, before: Map<string, string | undefined>): void {
    for (const [name, resource] of this.#resources) {
      if (present.has(name)) continue
      before.set(name, resource.version)
      this.#resources.delete(name)
      this.#narrowedAt.delete(name)
      this.#index?.remove(resource)
    }
  }
}

function isCached(resource: NewResource): resource is CachedResource {
  return resource.version !== undefined
}
