/**
 * A map from a text to the few values filed under it, in an order that the
 * owner chooses. A single value is stored bare: of 100,000 addresses nearly
 * all have one owner, and an array for each would double the index.
 */
export class Buckets<V extends object> {
  readonly #map = new Map<string, V | V[]>()
  readonly #rank: ((value: V) => number) | undefined

  /**
   * Without `rank`, values stay in the order of arrival. With it, higher ranks
   * come first and of equal ranks the last to arrive.
   */
  constructor(rank?: (value: V) => number) {
    this.#rank = rank
  }

  get size(): number {
    return this.#map.size
  }

  add(key: string, value: V): void {
    const filed = this.#map.get(key)
    if (filed === undefined) {
      this.#map.set(key, value)
    } else if (Array.isArray(filed)) {
      filed.splice(this.#position(filed, value), 0, value)
    } else {
      const pair = [filed]
      pair.splice(this.#position(pair, value), 0, value)
      this.#map.set(key, pair)
    }
  }

  remove(key: string, value: V): void {
    const filed = this.#map.get(key)
    if (filed === value) {
      this.#map.delete(key)
    } else if (Array.isArray(filed)) {
      const at = filed.indexOf(value)
      if (at === -1) return
      filed.splice(at, 1)
      const [only] = filed
      if (filed.length === 1 && only !== undefined) this.#map.set(key, only)
    }
  }

  first(key: string): V | undefined {
    const filed = this.#map.get(key)
    return Array.isArray(filed) ? filed[0] : filed
  }

  /** All values under `key`, in order. Not to be kept: the next change may alter it. */
  all(key: string): readonly V[] {
    const filed = this.#map.get(key)
    if (filed === undefined) return NOTHING
    return Array.isArray(filed) ? filed : [filed]
  }

  keys(): Iterable<string> {
    return this.#map.keys()
  }

  #position(values: readonly V[], value: V): number {
    if (this.#rank === undefined) return values.length
    const rank = this.#rank(value)
    for (let i = 0; i < values.length; i++) {
      const other = values[i]
      if (other !== undefined && this.#rank(other) <= rank) return i
    }
    return values.length
  }
}

const NOTHING: readonly never[] = Object.freeze([])
