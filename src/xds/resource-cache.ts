import { createHash } from 'node:crypto'

/** A resource as clients get it. */
export interface NewResource {
  /** Unique within its type: a workload's uid, `namespace/hostname`, `namespace/name`. */
  readonly name: string
  /** Deterministic: equal resources have equal bytes. */
  readonly value: Uint8Array<ArrayBuffer>
  /** Other names that a client may ask for it by: `network/address`. */
  readonly aliases: readonly string[]
  /** Names of resources that bring this one along when asked for: a workload's services. */
  readonly groups: readonly string[]
}

export interface CachedResource extends NewResource {
  /** A hash of the bytes: survives a restart, and is the same on every replica. */
  readonly version: string
}

/** What became of one snapshot in a later one. */
export interface ResourceChanges {
  readonly changed: readonly CachedResource[]
  readonly removed: readonly string[]
}

/** All resources of one type at one moment; never changes. */
export class ResourceSnapshot {
  readonly resources: ReadonlyMap<string, CachedResource>
  readonly #changes = new WeakMap<ResourceSnapshot, ResourceChanges>()
  #index: NameIndex | undefined

  constructor(resources: ReadonlyMap<string, CachedResource>) {
    this.resources = resources
  }

  /** Worked out once for all clients that hold the same earlier snapshot. */
  changesSince(earlier: ResourceSnapshot): ResourceChanges {
    let changes = this.#changes.get(earlier)
    if (changes === undefined) {
      changes = this.changesFrom((name) => earlier.resources.get(name)?.version, earlier.resources.keys())
      this.#changes.set(earlier, changes)
    }
    return changes
  }

  /** Against what a client says it holds. */
  changesFrom(versionOf: (name: string) => string | undefined, names: Iterable<string>): ResourceChanges {
    const changed: CachedResource[] = []
    for (const resource of this.resources.values()) {
      if (versionOf(resource.name) !== resource.version) changed.push(resource)
    }
    const removed = [...names].filter((name) => !this.resources.has(name))
    return { changed, removed }
  }

  /** What a client gets that asks for one name: the resource of that name or alias, and those it brings along. */
  resolve(name: string): readonly CachedResource[] {
    this.#index ??= indexNames(this.resources.values())
    const own = this.resources.get(name)
    const named = own === undefined ? (this.#index.byAlias.get(name) ?? []) : [own]
    return named.flatMap((resource) => [resource, ...(this.#index?.byGroup.get(resource.name) ?? [])])
  }
}

/**
 * What a control plane serves. Replaced as a whole, so that clients never see
 * half of a change; each gets the difference to what it holds.
 */
export class ResourceCache {
  #types = new Map<string, ResourceSnapshot>()
  #listeners = new Set<() => void>()
  #ready = false

  /** False until the first `replace`: before, an empty answer would take away all that clients hold. */
  get ready(): boolean {
    return this.#ready
  }

  /** The present resources of a type; undefined for a type that is not served. */
  snapshot(typeUrl: string): ResourceSnapshot | undefined {
    return this.#types.get(typeUrl)
  }

  typeUrls(): readonly string[] {
    return [...this.#types.keys()]
  }

  /** Puts all types in force at once. Names must be unique within a type; the last one counts. */
  replace(types: ReadonlyMap<string, Iterable<NewResource>>): void {
    const next = new Map<string, ResourceSnapshot>()
    let changed = !this.#ready
    for (const [typeUrl, resources] of types) {
      const previous = this.#types.get(typeUrl)
      const snapshot = rebuild(resources, previous)
      if (snapshot !== previous) changed = true
      next.set(typeUrl, snapshot)
    }
    if (!changed && next.size === this.#types.size) return
    this.#types = next
    this.#ready = true
    for (const listener of [...this.#listeners]) listener()
  }

  /** Called after every change. Must not throw. Returns the function that ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

/** The version that equal bytes always have. */
export function versionOf(value: Uint8Array): string {
  return createHash('sha256').update(value).digest('hex').slice(0, VERSION_DIGITS)
}

/** 64 bits, as istiod's: versions distinguish the states of one name, not all resources from one another. */
const VERSION_DIGITS = 16

/** The previous snapshot itself when nothing differs. */
function rebuild(resources: Iterable<NewResource>, previous: ResourceSnapshot | undefined): ResourceSnapshot {
  const next = new Map<string, CachedResource>()
  let same = previous !== undefined
  for (const resource of resources) {
    const version = versionOf(resource.value)
    const known = previous?.resources.get(resource.name)
    // A kept object lets a client's unchanged part be told by identity, and saves the memory of a copy.
    if (known?.version === version) next.set(resource.name, known)
    else {
      next.set(resource.name, { ...resource, version })
      same = false
    }
  }
  return previous !== undefined && same && next.size === previous.resources.size
    ? previous
    : new ResourceSnapshot(next)
}

interface NameIndex {
  readonly byAlias: ReadonlyMap<string, readonly CachedResource[]>
  readonly byGroup: ReadonlyMap<string, readonly CachedResource[]>
}

function indexNames(resources: Iterable<CachedResource>): NameIndex {
  const byAlias = new Map<string, CachedResource[]>()
  const byGroup = new Map<string, CachedResource[]>()
  for (const resource of resources) {
    for (const alias of resource.aliases) append(byAlias, alias, resource)
    for (const group of resource.groups) append(byGroup, group, resource)
  }
  return { byAlias, byGroup }
}

function append(index: Map<string, CachedResource[]>, name: string, resource: CachedResource): void {
  const list = index.get(name)
  if (list === undefined) index.set(name, [resource])
  else list.push(resource)
}
