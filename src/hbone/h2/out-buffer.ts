import type { Writable } from 'node:stream'
import { SLAB_BYTES, type SlabPool } from './slab-pool.ts'

/**
 * Gathers bytes for a socket, and writes them with as few calls as it can: one
 * write is under way at a time, and what comes meanwhile goes out with the
 * next. Holds no memory while nothing is on its way.
 */
export class OutBuffer {
  readonly #sink: Writable
  readonly #pool: SlabPool
  readonly #onWritten: (bytes: number) => void
  #full: FullSlab[] | undefined
  #open: Buffer | undefined
  #used = 0
  #gathered = 0
  #writing = 0
  #written: Buffer | undefined

  /** `onWritten` is told each time that a write is over, and of how many bytes. */
  constructor(sink: Writable, pool: SlabPool, onWritten: (bytes: number) => void) {
    this.#sink = sink
    this.#pool = pool
    this.#onWritten = onWritten
  }

  /** Bytes that the kernel has not taken yet. */
  get size(): number {
    return this.#gathered + this.#writing
  }

  /** Bytes that wait for a `flush`. */
  get gathered(): number {
    return this.#gathered
  }

  /** Copies them: the caller's memory is free again at once. */
  append(bytes: Buffer): void {
    const { length } = bytes
    for (let at = 0; at < length; ) {
      const slab = this.#room(length - at, 1)
      const count = Math.min(slab.length - this.#used, length - at)
      bytes.copy(slab, this.#used, at, at + count)
      this.#used += count
      at += count
    }
    this.#gathered += length
  }

  /** Room for so few bytes in one piece, at the offset of the answer in `slab`, to be filled at once. */
  reserve(count: number): number {
    this.#room(count, count)
    const at = this.#used
    this.#used += count
    this.#gathered += count
    return at
  }

  /** What `reserve` has made room in. */
  get slab(): Buffer {
    return this.#open ?? EMPTY
  }

  /** Writes what has been gathered, unless a write is under way: then that is followed by it. */
  flush(): void {
    if (this.#writing > 0 || this.#gathered === 0) return
    // An answer to what the peer sent before it had read our end. A write would break the socket.
    if (this.#sink.writableEnded) {
      this.clear()
      return
    }
    // One piece for each write: of several, Node's TLS would make one by a further copy.
    const next = this.#full?.shift() ?? this.#takeOpen()
    if (next === undefined) return
    const { slab, used } = next
    if (this.#full?.length === 0) this.#full = undefined
    this.#written = slab
    this.#writing = used
    this.#gathered -= used
    this.#sink.write(used === slab.length ? slab : slab.subarray(0, used), this.#onDone)
  }

  /** Forgets what was not written. */
  clear(): void {
    this.#full = undefined
    this.#open = undefined
    this.#used = 0
    this.#gathered = 0
  }

  readonly #onDone = (error?: Error | null): void => {
    const bytes = this.#writing
    const written = this.#written
    this.#written = undefined
    this.#writing = 0
    if (error) {
      this.clear()
      return
    }
    if (written !== undefined) this.#pool.give(written)
    this.#onWritten(bytes)
    this.flush()
  }

  /** Memory with room for `least` bytes, if possible for all that is wanted. */
  #room(wanted: number, least: number): Buffer {
    let open = this.#open
    if (open !== undefined && open.length - this.#used >= least) return open
    if (open === undefined || open.length === SLAB_BYTES) {
      const full = this.#takeOpen()
      if (full !== undefined) {
        this.#full ??= []
        this.#full.push(full)
      }
      open = this.#pool.take(wanted)
    } else {
      // It did not stay small: a copy now saves a write.
      const larger = this.#pool.take(this.#used + wanted)
      open.copy(larger, 0, 0, this.#used)
      this.#pool.give(open)
      open = larger
    }
    this.#open = open
    return open
  }

  #takeOpen(): FullSlab | undefined {
    const slab = this.#open
    const used = this.#used
    this.#open = undefined
    this.#used = 0
    return slab === undefined || used === 0 ? undefined : { slab, used }
  }
}

interface FullSlab {
  readonly slab: Buffer
  readonly used: number
}

const EMPTY = Buffer.alloc(0)
