import type { OutBuffer } from './out-buffer.ts'

/** Buffers that are flushed together, at the end of this turn of the event loop: what came in with one poll goes out in one write. */
export class FlushQueue {
  #waiting: OutBuffer[] = []
  #scheduled = false

  add(out: OutBuffer): void {
    this.#waiting.push(out)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    this.#scheduled = false
    const waiting = this.#waiting
    // Most turns have one buffer, and the array is used again.
    if (waiting.length === 1) {
      waiting.pop()?.flush()
      return
    }
    this.#waiting = []
    for (const out of waiting) out.flush()
  }
}
