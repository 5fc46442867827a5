/** Bytes that nobody takes yet. Kept together: single bytes must not cost a hundred each. */
export class ReceivedBytes {
  readonly #full: Buffer[] = []
  #open: Buffer | undefined
  #used = 0
  #size = 0

  /** Bytes. */
  get size(): number {
    return this.#size
  }

  append(bytes: Buffer): void {
    this.#size += bytes.length
    for (let at = 0; at < bytes.length; ) {
      const open = this.#room(bytes.length - at)
      const count = bytes.copy(open, this.#used, at)
      this.#used += count
      at += count
    }
  }

  /** All of them, in order. */
  pieces(): Buffer[] {
    const last = this.#open?.subarray(0, this.#used)
    return last === undefined ? this.#full : [...this.#full, last]
  }

  #room(wanted: number): Buffer {
    const open = this.#open
    if (open !== undefined && this.#used < open.length) return open
    if (open !== undefined) this.#full.push(open)
    const least = open === undefined ? FIRST_BYTES : FURTHER_BYTES
    this.#open = Buffer.allocUnsafe(Math.max(least, wanted))
    this.#used = 0
    return this.#open
  }
}

/** A request of the application, mostly, while its server is dialled. */
const FIRST_BYTES = 512
const FURTHER_BYTES = 16_384
