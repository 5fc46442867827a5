import { protocolError } from './errors.ts'
import { DEFAULT_TABLE_SIZE, ENTRY_OVERHEAD, STATIC_ENTRIES, STATIC_TABLE } from './hpack-table.ts'
import { decodedBound, decodeHuffman } from './huffman.ts'

/** A header list as it came. */
export interface FieldList {
  /** Names and values in turn. Of a list that is too large, what came before it was. */
  readonly fields: readonly string[]
  /** More bytes (RFC 9113 section 6.5.2), or more fields, than allowed. */
  readonly tooLarge: boolean
}

export interface FieldLimits {
  /** Of names and values with 32 for each field (RFC 9113 section 6.5.2). */
  readonly bytes: number
  readonly count: number
}

/**
 * Reads the header blocks of one direction of a connection, in order (RFC 7541).
 * We announce no table size, so the peer's table has 4,096 bytes at the most.
 */
export class HpackDecoder {
  readonly #limits: FieldLimits
  /** Names and values in turn, the oldest first. */
  readonly #table: string[] = []
  #size = 0
  #limit = DEFAULT_TABLE_SIZE
  #block: Buffer = EMPTY
  #at = 0

  constructor(limits: FieldLimits) {
    this.#limits = limits
  }

  /**
   * A list above the limits is read to its end all the same: later blocks build on its table.
   * Throws `Http2Error` COMPRESSION_ERROR for what is no HPACK; the connection is over then.
   */
  decode(block: Buffer): FieldList {
    this.#block = block
    this.#at = 0
    const fields: string[] = []
    let bytes = 0
    let tooLarge = false
    while (this.#at < block.length) {
      const byte = block[this.#at] ?? 0
      if ((byte & 0xe0) === 0x20) {
        if (fields.length > 0 || tooLarge) throw malformed('a table size in the middle of a block')
        this.#resize(this.#integer(5))
        continue
      }
      const [name, value] = byte & 0x80 ? this.#entry(this.#integer(7)) : this.#literal(byte)
      bytes += name.length + value.length + ENTRY_OVERHEAD
      tooLarge ||= bytes > this.#limits.bytes || fields.length >= this.#limits.count * 2
      if (!tooLarge) fields.push(name, value)
    }
    this.#block = EMPTY
    return { fields, tooLarge }
  }

  #literal(byte: number): Field {
    const indexed = (byte & 0xc0) === 0x40
    const index = this.#integer(indexed ? 6 : 4)
    const name = index === 0 ? this.#string() : this.#entry(index)[0]
    const value = this.#string()
    if (indexed) this.#add(name, value)
    return [name, value]
  }

  #entry(index: number): Field {
    if (index === 0) throw malformed('index 0')
    const table = index <= STATIC_ENTRIES ? STATIC_TABLE : this.#table
    const at = index <= STATIC_ENTRIES ? (index - 1) * 2 : table.length - (index - STATIC_ENTRIES) * 2
    const name = table[at]
    const value = table[at + 1]
    if (name === undefined || value === undefined) throw malformed(`index ${index}, which no table has`)
    return [name, value]
  }

  #add(name: string, value: string): void {
    this.#table.push(name, value)
    this.#size += name.length + value.length + ENTRY_OVERHEAD
    this.#evict()
  }

  #resize(limit: number): void {
    if (limit > DEFAULT_TABLE_SIZE) throw malformed(`a table of ${limit} bytes`)
    this.#limit = limit
    this.#evict()
  }

  #evict(): void {
    let gone = 0
    while (this.#size > this.#limit) {
      this.#size -= (this.#table[gone]?.length ?? 0) + (this.#table[gone + 1]?.length ?? 0) + ENTRY_OVERHEAD
      gone += 2
    }
    if (gone > 0) this.#table.splice(0, gone)
  }

  /** RFC 7541 section 5.1. */
  #integer(prefix: number): number {
    const most = (1 << prefix) - 1
    let value = (this.#block[this.#at++] ?? 0) & most
    if (value < most) return value
    for (let shift = 0; ; shift += 7) {
      const byte = this.#block[this.#at++]
      if (byte === undefined) throw malformed('a number that does not end')
      value += (byte & 127) * 2 ** shift
      // No block is so long, and leading zeros say nothing.
      if (value > LARGEST_NUMBER || shift > 28) throw malformed('a number that is too large')
      if (byte < 128) return value
    }
  }

  /** RFC 7541 section 5.2. */
  #string(): string {
    const huffman = ((this.#block[this.#at] ?? 0) & 0x80) !== 0
    const length = this.#integer(7)
    const start = this.#at
    const end = start + length
    if (end > this.#block.length) throw malformed('a string that does not end')
    this.#at = end
    if (!huffman) return this.#block.toString('latin1', start, end)
    const bound = decodedBound(length)
    const target = bound <= SCRATCH.length ? SCRATCH : Buffer.allocUnsafe(bound)
    return target.toString('latin1', 0, decodeHuffman(this.#block, start, end, target))
  }
}

type Field = readonly [name: string, value: string]

const EMPTY = Buffer.alloc(0)
const LARGEST_NUMBER = 2 ** 28
/** Filled and read within one call. */
const SCRATCH = Buffer.allocUnsafeSlow(4096)

function malformed(what: string): Error {
  return protocolError('COMPRESSION_ERROR', `malformed header block: ${what}`)
}
