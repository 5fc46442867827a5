import type { DeltaDiscoveryRequest } from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { CachedResource } from './resource.ts'
import type { ResourceChanges, ResourceTable } from './resource-table.ts'

/** What to send next; `removed` may hold names that the client asked for and that do not exist. */
export interface DeltaAnswer {
  readonly resources: readonly CachedResource[]
  readonly removed: readonly string[]
  /** Aliases are told to on-demand clients only, as istiod does. */
  readonly withAliases: boolean
}

export interface SubscriptionOptions {
  /** There is no asking for some of the type: everybody gets all of it. */
  readonly alwaysWildcard: boolean
  /** Removals, and what narrows, are kept back until `withdraw`. */
  readonly withdrawLast: boolean
}

/** A client may name this many resources of one type. A larger mesh is for wildcard clients. Entries. */
export const MAX_SUBSCRIBED_NAMES = 100_000

const WILDCARD = '*'

/**
 * One type on one stream: what the client wants and what it has. Nothing is
 * queued for it: what it lacks is worked out when it can take more, so a slow
 * client gets the latest state in one piece however often it changed.
 */
export class DeltaSubscription {
  readonly #withdrawLast: boolean
  #wildcard = false
  /** Names the client asked for. */
  readonly #names = new Set<string>()
  /** Asked for and not answered yet; answered even when the client has the resource. */
  readonly #asked = new Set<string>()
  /** Name to version of what the client has; in wildcard only until the first answer. */
  #held: Map<string, string>
  /** What the client has not been told yet of names that it has in force. */
  readonly #withheld = new Map<string, 'removed' | 'narrowed'>()
  /** Generation of the last answer. */
  #base: number | undefined
  #mustAnswer = true
  #isTooLarge = false

  /** From the first request for the type on this stream. */
  constructor(request: DeltaDiscoveryRequest, { alwaysWildcard, withdrawLast }: SubscriptionOptions) {
    const { resourceNamesSubscribe: names, resourceNamesUnsubscribe: unwanted } = request
    // Subscribing and unsubscribing "*" at once subscribes to nothing: on-demand.
    const wantsAll = names.length === 0 || names.includes(WILDCARD)
    this.#withdrawLast = withdrawLast
    this.#wildcard = alwaysWildcard || (wantsAll && !unwanted.includes(WILDCARD))
    this.#held = new Map(Object.entries(request.initialResourceVersions))
    if (this.#wildcard) return
    for (const name of this.#held.keys()) this.#names.add(name)
    this.#isTooLarge = !this.#subscribe(names.filter((name) => name !== WILDCARD))
  }

  /** Whether the first request named more than a client may, so that the stream must be refused. */
  get isTooLarge(): boolean {
    return this.#isTooLarge || this.#names.size > MAX_SUBSCRIBED_NAMES
  }

  get wildcard(): boolean {
    return this.#wildcard
  }

  get subscribedNames(): number {
    return this.#names.size
  }

  /** Whether the client waits for an answer to a question of its own, rather than for changes. */
  get mustAnswer(): boolean {
    return this.#mustAnswer || this.#asked.size > 0
  }

  /** Whether the next answer is the whole table, to a client that has nothing of it. */
  get needsEverything(): boolean {
    return this.#wildcard && this.#base === undefined && this.#held.size === 0 && this.#asked.size === 0
  }

  /** Whether the client has something in force that `withdraw` takes away. */
  get withholds(): boolean {
    return this.#withheld.size > 0
  }

  /** Whether `answer` may have something to say. */
  isBehind(table: ResourceTable): boolean {
    return this.mustAnswer || this.#base !== table.generation
  }

  /** A later request's changes; a request without any changes nothing. False when it names too many. */
  update(table: ResourceTable, subscribe: readonly string[], unsubscribe: readonly string[]): boolean {
    if (subscribe.includes(WILDCARD) && !this.#wildcard) {
      this.#wildcard = true
      this.#base = undefined
      this.#mustAnswer = true
    }
    if (unsubscribe.includes(WILDCARD) && this.#wildcard) this.#leaveWildcard(table)
    for (const name of unsubscribe) {
      this.#names.delete(name)
      this.#asked.delete(name)
    }
    return this.#subscribe(subscribe.filter((name) => name !== WILDCARD))
  }

  /**
   * What the client lacks; undefined when there is nothing to say. Counts as
   * sent. `too-far-behind` when that cannot be told any more: the client must
   * say in a new stream what it holds.
   */
  answer(table: ResourceTable): DeltaAnswer | undefined | 'too-far-behind' {
    if (!this.isBehind(table)) return undefined
    const answer = this.#wildcard ? this.#answerAll(table) : this.#answerNames(table)
    if (answer === undefined) return 'too-far-behind'
    const forced = this.mustAnswer
    this.#base = table.generation
    this.#mustAnswer = false
    this.#asked.clear()
    return forced || answer.resources.length > 0 || answer.removed.length > 0 ? answer : undefined
  }

  /** What `answer` has kept back, as it is now. Counts as sent. */
  withdraw(table: ResourceTable): DeltaAnswer {
    const resources = [...this.#withheld.keys()].flatMap((name) => table.resources.get(name) ?? [])
    const removed = [...this.#withheld.keys()].filter((name) => !table.resources.has(name))
    this.#withheld.clear()
    return { resources, removed, withAliases: false }
  }

  #subscribe(names: readonly string[]): boolean {
    for (const name of names) {
      if (this.#names.size >= MAX_SUBSCRIBED_NAMES && !this.#names.has(name)) return false
      this.#names.add(name)
      this.#asked.add(name)
    }
    return true
  }

  /** From here on what the client has is written down by name. */
  #leaveWildcard(table: ResourceTable): void {
    this.#wildcard = false
    if (this.#base === undefined) return
    this.#held = new Map([...table.resources.values()].map(({ name, version }) => [name, version]))
    const since = table.changesSince(this.#base)
    // Which older version of these it has does not matter: none is the present one.
    for (const name of [...(since?.changed ?? []).map(({ name }) => name), ...(since?.removed ?? [])])
      this.#held.set(name, '')
  }

  #answerAll(table: ResourceTable): DeltaAnswer | undefined {
    const changes = this.#base === undefined ? table.changesFrom(this.#held) : table.changesSince(this.#base)
    if (changes === undefined) return undefined
    this.#held = new Map()
    const { changed, removed } = this.#withdrawLast ? this.#keepBack(changes) : changes
    if (this.#asked.size === 0) return { resources: changed, removed, withAliases: false }
    const resources = new Set(changed)
    const absent = new Set(removed)
    this.#addAsked(table, resources, absent)
    return { resources: [...resources], removed: [...absent], withAliases: false }
  }

  #keepBack({ changed, removed, narrowed }: ResourceChanges): Pick<ResourceChanges, 'changed' | 'removed'> {
    for (const name of removed) this.#withheld.set(name, 'removed')
    const now: CachedResource[] = []
    for (const resource of changed) {
      const { name, selective = false } = resource
      // What it replaces is still in force everywhere, so it may not come early, however often it changes.
      if (narrowed.has(name) || (selective && this.#withheld.get(name) === 'narrowed'))
        this.#withheld.set(name, 'narrowed')
      else {
        this.#withheld.delete(name)
        now.push(resource)
      }
    }
    return { changed: now, removed: [] }
  }

  #answerNames(table: ResourceTable): DeltaAnswer | undefined {
    if (!this.mustAnswer && !this.#isConcerned(table)) return NOTHING
    const resources = new Set<CachedResource>()
    const removed = new Set<string>()
    this.#addAsked(table, resources, removed)
    const holds = new Map<string, string>()
    for (const name of this.#names) {
      for (const resource of table.resolve(name)) {
        if (this.#held.get(resource.name) !== resource.version) resources.add(resource)
        holds.set(resource.name, resource.version)
      }
    }
    for (const name of this.#held.keys()) if (!table.resources.has(name)) removed.add(name)
    this.#held = holds
    return { resources: [...resources], removed: [...removed], withAliases: true }
  }

  /** Whether any of the changes is of a resource that it has or asked for. */
  #isConcerned(table: ResourceTable): boolean {
    const changes = this.#base === undefined ? undefined : table.changesSince(this.#base)
    if (changes === undefined) return true
    const isMine = (name: string) => this.#held.has(name) || this.#names.has(name)
    return (
      changes.removed.some(isMine) ||
      changes.changed.some(({ name, aliases, groups }) =>
        [name, ...aliases, ...groups].some((other) => isMine(other)),
      )
    )
  }

  #addAsked(table: ResourceTable, resources: Set<CachedResource>, absent: Set<string>): void {
    for (const name of this.#asked) {
      const found = table.resolve(name)
      if (found.length === 0) absent.add(name)
      for (const resource of found) resources.add(resource)
    }
  }
}

const NOTHING: DeltaAnswer = { resources: [], removed: [], withAliases: true }
