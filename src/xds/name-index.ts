import type { CachedResource } from './resource.ts'

/** Resources by the other names that on-demand clients ask for them by; kept up to date, not rebuilt. */
export class NameIndex {
  readonly #byAlias = new Map<string, Set<CachedResource>>()
  readonly #byGroup = new Map<string, Set<CachedResource>>()

  constructor(resources: Iterable<CachedResource>) {
    for (const resource of resources) this.add(resource)
  }

  add(resource: CachedResource): void {
    for (const alias of resource.aliases) put(this.#byAlias, alias, resource)
    for (const group of resource.groups) put(this.#byGroup, group, resource)
  }

  remove(resource: CachedResource): void {
    for (const alias of resource.aliases) take(this.#byAlias, alias, resource)
    for (const group of resource.groups) take(this.#byGroup, group, resource)
  }

  /** What answers to an address. */
  named(alias: string): Iterable<CachedResource> {
    return this.#byAlias.get(alias) ?? []
  }

  /** What a resource brings along. */
  members(name: string): Iterable<CachedResource> {
    return this.#byGroup.get(name) ?? []
  }
}

function put(index: Map<string, Set<CachedResource>>, name: string, resource: CachedResource): void {
  const found = index.get(name)
  if (found === undefined) index.set(name, new Set([resource]))
  else found.add(resource)
}

function take(index: Map<string, Set<CachedResource>>, name: string, resource: CachedResource): void {
  const found = index.get(name)
  found?.delete(resource)
  if (found?.size === 0) index.delete(name)
}
