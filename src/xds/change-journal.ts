/** How much a journal keeps. */
export interface JournalLimits {
  /** Names remembered; a client that is further behind must say anew what it holds. */
  readonly names: number
  /** Names, double ones counted, above which they are looked for. */
  readonly compactAt: number
}

/**
 * What changed in a table, and when, for clients that know the state of some
 * earlier moment. It replaces copies of earlier states: a client that does not
 * keep up costs nothing, however large the mesh and however long it stays away.
 */
export class ChangeJournal {
  /** Oldest first. */
  #steps: Step[] = []
  readonly #limits: JournalLimits
  #names = 0
  #compactAt: number
  /** Changes up to this generation are forgotten. */
  #floor: number

  /** Remembers from a generation on: nobody has seen an earlier one. */
  constructor(generation: number, limits: JournalLimits = DEFAULT_LIMITS) {
    this.#floor = generation
    this.#limits = limits
    this.#compactAt = limits.compactAt
  }

  /** Names remembered, over all steps. */
  get size(): number {
    return this.#names
  }

  /** Adds a generation's changes: for each name the version that it replaced, undefined where there was none. */
  add(generation: number, before: Map<string, string | undefined>): void {
    this.#steps.push({ generation, before })
    this.#names += before.size
    if (this.#names > this.#compactAt) this.#compact()
  }

  /**
   * Every name that changed after a generation, with the version that it had
   * then; `UNKNOWN_VERSION` where that is not remembered. Undefined when too
   * much happened since.
   */
  since(generation: number): ReadonlyMap<string, string | undefined> | undefined {
    if (generation < this.#floor) return undefined
    const first = firstAfter(this.#steps, generation)
    if (first === this.#steps.length - 1) return this.#steps[first]?.before
    const names = new Map<string, string | undefined>()
    for (const { before } of this.#steps.slice(first)) {
      for (const [name, version] of before) if (!names.has(name)) names.set(name, version)
    }
    return names
  }

  /** Keeps the last mention of each name, then forgets the oldest beyond the limit. */
  #compact(): void {
    const seen = new Map<string, Step>()
    for (const step of this.#steps.toReversed()) {
      for (const name of step.before.keys()) {
        const later = seen.get(name)
        if (later === undefined) seen.set(name, step)
        else {
          // Who is older than both must not take the later one's word for what it has.
          later.before.set(name, UNKNOWN_VERSION)
          step.before.delete(name)
        }
      }
    }
    this.#steps = this.#steps.filter(({ before }) => before.size > 0)
    this.#names = seen.size
    while (this.#names > this.#limits.names) {
      const oldest = this.#steps.shift()
      if (oldest === undefined) break
      this.#names -= oldest.before.size
      this.#floor = oldest.generation
    }
    this.#compactAt = Math.max(this.#limits.compactAt, 2 * this.#names)
  }
}

/** Differs from every version: what the client has must be taken for another one. */
export const UNKNOWN_VERSION = ''

interface Step {
  readonly generation: number
  readonly before: Map<string, string | undefined>
}

/** Names whose last change is remembered: all of a large mesh several times over. Entries. */
const MAX_REMEMBERED_CHANGES = 500_000
/** Below this many names, looking for double ones is not worth it. Entries. */
const MIN_COMPACT_AT = 10_000
const DEFAULT_LIMITS: JournalLimits = { names: MAX_REMEMBERED_CHANGES, compactAt: MIN_COMPACT_AT }

/** Index of the first step after a generation, by bisection. */
function firstAfter(steps: readonly Step[], generation: number): number {
  let low = 0
  let high = steps.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((steps[middle]?.generation ?? 0) > generation) high = middle
    else low = middle + 1
  }
  return low
}
