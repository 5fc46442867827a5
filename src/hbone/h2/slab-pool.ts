/**
 * What one write takes at the most, bytes: eight TLS records of 16 KiB, which
 * Node's TLS hands to the kernel in one call.
 */
export const SLAB_BYTES = 8 * 16_384
/** For connections that carry less. */
export const MEDIUM_BYTES = 16_384
/** For those that carry little; of Node's own pool. */
export const SMALL_BYTES = 512

/** Slabs that wait to be used again: 4 MiB, a stream's window. */
const MOST_SPARE = 32

/**
 * Memory for what is on its way out of one connection, all of its tunnels
 * included. A new slab for each write would keep the garbage collector busy:
 * memory outside of its heap makes it look at all of the heap.
 */
export class SlabPool {
  readonly #large: Buffer[] = []
  readonly #medium: Buffer[] = []
  /** Fewest slabs that were spare since the last `trim`: nobody missed those. */
  #fewestLarge = 0
  #fewestMedium = 0

  take(wanted: number): Buffer {
    if (wanted <= SMALL_BYTES) return Buffer.allocUnsafe(SMALL_BYTES)
    if (wanted <= MEDIUM_BYTES) {
      const medium = this.#medium.pop()
      this.#fewestMedium = Math.min(this.#fewestMedium, this.#medium.length)
      return medium ?? Buffer.allocUnsafeSlow(MEDIUM_BYTES)
    }
    const large = this.#large.pop()
    this.#fewestLarge = Math.min(this.#fewestLarge, this.#large.length)
    return large ?? Buffer.allocUnsafeSlow(SLAB_BYTES)
  }

  give(slab: Buffer): void {
    if (slab.length === SMALL_BYTES) return
    const spare = slab.length === SLAB_BYTES ? this.#large : this.#medium
    if (spare.length < MOST_SPARE) spare.push(slab)
  }

  /** To be called now and then: lets go of what was spare all the time since the last call. */
  trim(): void {
    this.#large.splice(0, this.#fewestLarge)
    this.#medium.splice(0, this.#fewestMedium)
    this.#fewestLarge = this.#large.length
    this.#fewestMedium = this.#medium.length
  }
}
