import { type AddressWords, type Cidr, maskWords, parseAddress, parseCidr } from './addresses.ts'
import { Buckets } from './buckets.ts'

/** What holds an address, and how closely. */
export interface CidrHit<V> {
  readonly value: V
  /** Prefix length in bits. */
  readonly length: number
}

/**
 * Address blocks and what they lead to. One hash table for each prefix length
 * in use, so that a lookup costs one probe per length (a mesh uses a handful),
 * however many blocks there are.
 */
export class CidrTable<V extends object> {
  readonly #lengths = new Map<
    string,
    { readonly mask: AddressWords; readonly length: number; readonly blocks: Buckets<V> }
  >()
  /** The keys of `#lengths`, longest prefix first. */
  #order: string[] = []

  /** False when `text` is no block. */
  add(text: string, value: V): boolean {
    const cidr = parseCidr(text)
    if (cidr === undefined) return false
    const name = lengthName(cidr)
    let table = this.#lengths.get(name)
    if (table === undefined) {
      table = { mask: cidr.mask, length: cidr.length, blocks: new Buckets<V>() }
      this.#lengths.set(name, table)
      this.#sort()
    }
    table.blocks.add(blockKey(cidr.base), value)
    return true
  }

  remove(text: string, value: V): void {
    const cidr = parseCidr(text)
    if (cidr === undefined) return
    const name = lengthName(cidr)
    const table = this.#lengths.get(name)
    if (table === undefined) return
    table.blocks.remove(blockKey(cidr.base), value)
    if (table.blocks.size > 0) return
    this.#lengths.delete(name)
    this.#sort()
  }

  /** Everything whose block holds `address`: longest prefix first, then in the order of arrival. */
  matches(address: string): readonly CidrHit<V>[] {
    if (this.#order.length === 0) return []
    const words = parseAddress(address)
    if (words === undefined) return []
    const hits: CidrHit<V>[] = []
    for (const name of this.#order) {
      const table = this.#lengths.get(name)
      if (table === undefined || table.mask.length !== words.length) continue
      const found = table.blocks.all(blockKey(maskWords(words, table.mask)))
      for (const value of found) hits.push({ value, length: table.length })
    }
    return hits
  }

  #sort(): void {
    const tables = [...this.#lengths].sort(([, a], [, b]) => b.length - a.length)
    this.#order = tables.map(([name]) => name)
  }
}

/** IPv4 and IPv6 tables of one length are different tables. */
function lengthName(cidr: Cidr): string {
  return `${cidr.mask.length}/${cidr.length}`
}

function blockKey(base: AddressWords): string {
  return base.join(':')
}
