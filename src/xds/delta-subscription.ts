import type { DeltaDiscoveryRequest } from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { CachedResource, ResourceSnapshot } from './resource-cache.ts'

/** What to send next; `removed` may hold names that the client asked for and that do not exist. */
export interface DeltaAnswer {
  readonly resources: readonly CachedResource[]
  readonly removed: readonly string[]
  /** Aliases are told to on-demand clients only, as istiod does. */
  readonly withAliases: boolean
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
  #wildcard = false
  /** Names the client asked for. */
  readonly #names = new Set<string>()
  /** Asked for and not answered yet; answered even when the client has the resource. */
  readonly #asked = new Set<string>()
  /** Name to version of what the client has; in wildcard only until the first answer. */
  #held = new Map<string, string>()
  /** What the last answer was made of. */
  #base: ResourceSnapshot | undefined
  #mustAnswer = true
  #isTooLarge = false

  /** From the first request for the type on this stream. */
  constructor(request: DeltaDiscoveryRequest, alwaysWildcard: boolean) {
    const { resourceNamesSubscribe: names, resourceNamesUnsubscribe: unwanted } = request
    // Subscribing and unsubscribing "*" at once subscribes to nothing: on-demand.
    const wantsAll = names.length === 0 || names.includes(WILDCARD)
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

  /** A later request's changes; a request without any changes nothing. False when it names too many. */
  update(subscribe: readonly string[], unsubscribe: readonly string[]): boolean {
    if (subscribe.includes(WILDCARD) && !this.#wildcard) {
      this.#wildcard = true
      this.#base = undefined
      this.#mustAnswer = true
    }
    if (unsubscribe.includes(WILDCARD) && this.#wildcard) this.#leaveWildcard()
    for (const name of unsubscribe) {
      this.#names.delete(name)
      this.#asked.delete(name)
    }
    return this.#subscribe(subscribe.filter((name) => name !== WILDCARD))
  }

  /** What the client lacks; undefined when there is nothing to say. Counts as sent. */
  answer(snapshot: ResourceSnapshot): DeltaAnswer | undefined {
    if (!this.mustAnswer && this.#base === snapshot) return undefined
    const answer = this.#wildcard ? this.#answerAll(snapshot) : this.#answerNames(snapshot)
    const forced = this.mustAnswer
    this.#base = snapshot
    this.#mustAnswer = false
    this.#asked.clear()
    return forced || answer.resources.length > 0 || answer.removed.length > 0 ? answer : undefined
  }

  #subscribe(names: readonly string[]): boolean {
    for (const name of names) {
      if (this.#names.size >= MAX_SUBSCRIBED_NAMES && !this.#names.has(name)) return false
      this.#names.add(name)
      this.#asked.add(name)
    }
    return true
  }

  #leaveWildcard(): void {
    this.#wildcard = false
    const held = this.#base?.resources.values() ?? []
    this.#held = new Map([...held].map(({ name, version }) => [name, version]))
  }

  #answerAll(snapshot: ResourceSnapshot): DeltaAnswer {
    const held = this.#held
    const { changed, removed } =
      this.#base === undefined
        ? snapshot.changesFrom((name) => held.get(name), held.keys())
        : snapshot.changesSince(this.#base)
    this.#held = new Map()
    if (this.#asked.size === 0) return { resources: changed, removed, withAliases: false }
    const resources = new Set(changed)
    const absent = new Set(removed)
    this.#addAsked(snapshot, resources, absent)
    return { resources: [...resources], removed: [...absent], withAliases: false }
  }

  #answerNames(snapshot: ResourceSnapshot): DeltaAnswer {
    const resources = new Set<CachedResource>()
    const removed = new Set<string>()
    this.#addAsked(snapshot, resources, removed)
    const holds = new Map<string, string>()
    for (const name of this.#names) {
      for (const resource of snapshot.resolve(name)) {
        if (this.#held.get(resource.name) !== resource.version) resources.add(resource)
        holds.set(resource.name, resource.version)
      }
    }
    for (const name of this.#held.keys()) if (!snapshot.resources.has(name)) removed.add(name)
    this.#held = holds
    return { resources: [...resources], removed: [...removed], withAliases: true }
  }

  #addAsked(snapshot: ResourceSnapshot, resources: Set<CachedResource>, absent: Set<string>): void {
    for (const name of this.#asked) {
      const found = snapshot.resolve(name)
      if (found.length === 0) absent.add(name)
      for (const resource of found) resources.add(resource)
    }
  }
}
