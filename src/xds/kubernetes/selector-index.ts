import { type Labelled, matchesLabels } from './selector.ts'

/** Something that selects by labels. */
export interface Selecting<T> {
  readonly item: T
  /** Where it selects; undefined: everywhere. */
  readonly namespace: string | undefined
  /** Empty: everything there. */
  readonly selector: Readonly<Record<string, string>>
}

/**
 * What selects something, without asking everybody: thousands of services and
 * policies times 100,000 pods would take minutes. Each is found under one pair
 * of its selector, which whatever it selects must have.
 */
export class SelectorIndex<T> {
  readonly #byPair = new Map<string, Ranked<T>[]>()

  constructor(all: Iterable<Selecting<T>>) {
    let rank = 0
    for (const { item, namespace, selector } of all) {
      const [pair] = Object.entries(selector)
      const key = keyOf(namespace, pair)
      const entry = { item, selector, rank: rank++ }
      const known = this.#byPair.get(key)
      if (known === undefined) this.#byPair.set(key, [entry])
      else known.push(entry)
    }
  }

  /** In the order in which they were given. */
  matching({ metadata: { namespace, labels } }: Labelled): readonly T[] {
    const found: Ranked<T>[] = []
    for (const pair of [undefined, ...Object.entries(labels)]) {
      for (const key of [keyOf(namespace, pair), keyOf(undefined, pair)]) {
        for (const entry of this.#byPair.get(key) ?? []) {
          if (matchesLabels(entry.selector, labels)) found.push(entry)
        }
      }
    }
    return found.sort((a, b) => a.rank - b.rank).map(({ item }) => item)
  }
}

interface Ranked<T> {
  readonly item: T
  readonly selector: Readonly<Record<string, string>>
  readonly rank: number
}

/** Neither names nor labels have a space. */
function keyOf(namespace: string | undefined, pair: readonly [string, string] | undefined): string {
  return `${namespace ?? '*'} ${pair?.join(' ') ?? ''}`
}
