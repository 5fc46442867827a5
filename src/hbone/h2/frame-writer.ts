import type { Writable } from 'node:stream'
import { DEFAULT_FRAME_SIZE, FLAG, FRAME, FRAME_HEAD } from './constants.ts'
import { OutBuffer } from './out-buffer.ts'
import type { SlabPool } from './slab-pool.ts'

/**
 * A frame of this many bytes and its head are one TLS record. For a peer that
 * takes larger ones a whole read is one frame: the records are as full then,
 * for all that goes out in one turn is one piece.
 */
const RECORD_PAYLOAD = DEFAULT_FRAME_SIZE - FRAME_HEAD

/** Writes the frames of one connection into the buffer that goes out at the end of the turn. */
export class FrameWriter {
  readonly out: OutBuffer
  #begun = false

  constructor(sink: Writable, pool: SlabPool, onWritten: (bytes: number) => void) {
    this.out = new OutBuffer(sink, pool, onWritten)
  }

  /** A frame with a payload that is at hand, or none. */
  frame(type: number, flags: number, streamId: number, payload: Buffer): void {
    this.#head(type, flags, streamId, payload.length)
    if (payload.length > 0) this.out.append(payload)
  }

  /** DATA, in frames as large as the peer takes. */
  data(streamId: number, bytes: Buffer, maxFrameSize: number): void {
    const most =
      maxFrameSize >= bytes.length ? bytes.length : maxFrameSize - (maxFrameSize % 16_384) - FRAME_HEAD
    const size = maxFrameSize < 2 * DEFAULT_FRAME_SIZE ? Math.min(bytes.length, RECORD_PAYLOAD) : most
    for (let at = 0; at < bytes.length; at += size) {
      this.frame(FRAME.DATA, 0, streamId, bytes.subarray(at, Math.min(at + size, bytes.length)))
    }
  }

  /** HEADERS, and CONTINUATION for what does not fit. */
  headers(streamId: number, block: Buffer, endStream: boolean, maxFrameSize: number): void {
    let rest = this.#begun ? block : Buffer.concat([NO_TABLE, block])
    this.#begun = true
    let type: number = FRAME.HEADERS
    let flags: number = endStream ? FLAG.END_STREAM : 0
    while (rest.length > maxFrameSize) {
      this.frame(type, flags, streamId, rest.subarray(0, maxFrameSize))
      rest = rest.subarray(maxFrameSize)
      type = FRAME.CONTINUATION
      flags = 0
    }
    this.frame(type, flags | FLAG.END_HEADERS, streamId, rest)
  }

  end(streamId: number): void {
    this.#head(FRAME.DATA, FLAG.END_STREAM, streamId, 0)
  }

  /** RST_STREAM with its code, or WINDOW_UPDATE with its credit. */
  number(type: typeof FRAME.RST_STREAM | typeof FRAME.WINDOW_UPDATE, streamId: number, value: number): void {
    this.#head(type, 0, streamId, 4)
    const at = this.out.reserve(4)
    const { slab } = this.out
    slab.writeUInt32BE(value, at)
  }

  goaway(lastStreamId: number, code: number): void {
    this.#head(FRAME.GOAWAY, 0, 0, 8)
    const at = this.out.reserve(8)
    const { slab } = this.out
    slab.writeUInt32BE(lastStreamId, at)
    slab.writeUInt32BE(code, at + 4)
  }

  #head(type: number, flags: number, streamId: number, length: number): void {
    const at = this.out.reserve(FRAME_HEAD)
    const { slab } = this.out
    slab[at] = length >> 16
    slab[at + 1] = length >> 8
    slab[at + 2] = length
    slab[at + 3] = type
    slab[at + 4] = flags
    slab.writeUInt32BE(streamId, at + 5)
  }
}

/**
 * A dynamic table of no bytes (RFC 7541 section 6.3), said once before our
 * first block: so it is true whatever size the peer's SETTINGS allow.
 */
const NO_TABLE = Buffer.from([0x20])
