import { FLAG } from './constants.ts'
import { protocolError } from './errors.ts'
import { type FieldLimits, type FieldList, HpackDecoder } from './hpack-decoder.ts'

/** Called with each header block that is whole. */
export type BlockListener = (streamId: number, endStream: boolean, list: FieldList) => void

/** A header block beyond this, compressed, ends the connection, bytes: four times what its fields may have. */
export const MAX_HEADER_BLOCK = 256 * 1024
/** CONTINUATIONs of one block; 64 KiB of fields in the smallest frames that anybody makes. */
const MAX_CONTINUATIONS = 64

/** Puts HEADERS and CONTINUATION together, and reads what they say. Throws `Http2Error` for what ends the connection. */
export class HeaderBlocks {
  readonly #decoder: HpackDecoder
  readonly #onBlock: BlockListener
  #open: OpenBlock | undefined

  constructor(limits: FieldLimits, onBlock: BlockListener) {
    this.#decoder = new HpackDecoder(limits)
    this.#onBlock = onBlock
  }

  /** Whether a block waits for its end: until then no other frame may come (RFC 9113 section 6.2). */
  get open(): boolean {
    return this.#open !== undefined
  }

  onHeaders(flags: number, streamId: number, payload: Buffer): void {
    const padded = (flags & FLAG.PADDED) !== 0
    const start = (padded ? 1 : 0) + (flags & FLAG.PRIORITY ? 5 : 0)
    const end = payload.length - (padded ? (payload[0] ?? 0) : 0)
    if (start > end) throw protocolError('PROTOCOL_ERROR', 'HEADERS with more padding than payload')
    const endStream = (flags & FLAG.END_STREAM) !== 0
    const fragment = payload.subarray(start, end)
    if (flags & FLAG.END_HEADERS) this.#onBlock(streamId, endStream, this.#decoder.decode(fragment))
    else this.#open = { streamId, endStream, parts: [Buffer.from(fragment)], size: fragment.length }
  }

  onContinuation(flags: number, streamId: number, payload: Buffer): void {
    const open = this.#open
    if (open?.streamId !== streamId) throw protocolError('PROTOCOL_ERROR', 'CONTINUATION of nothing')
    open.size += payload.length
    open.parts.push(Buffer.from(payload))
    if (open.parts.length > MAX_CONTINUATIONS || open.size > MAX_HEADER_BLOCK)
      throw protocolError('ENHANCE_YOUR_CALM', 'a header block that does not end')
    if ((flags & FLAG.END_HEADERS) === 0) return
    this.#open = undefined
    const block = Buffer.concat(open.parts, open.size)
    this.#onBlock(streamId, open.endStream, this.#decoder.decode(block))
  }
}

interface OpenBlock {
  readonly streamId: number
  readonly endStream: boolean
  readonly parts: Buffer[]
  size: number
}
