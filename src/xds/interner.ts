/**
 * Keeps one copy of a text that recurs. Decoding makes a new string for every
 * field of every message; in a mesh of 100,000 workloads a few thousand
 * distinct namespaces, nodes, accounts and service names recur.
 */
export class Interner {
  #known = new Map<string, string>()

  intern<T extends string>(text: T): T {
    const known = this.#known.get(text)
    // A key of the map is the very text that it maps to, so its type is too.
    if (known !== undefined) return known as T
    if (this.#known.size >= MAX_TEXTS) this.#known.clear()
    this.#known.set(text, text)
    return text
  }
}

/** Beyond this many distinct texts they hardly recur: forget and start again. Entries. */
const MAX_TEXTS = 65_536
