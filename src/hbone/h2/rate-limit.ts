/** So many at once, and so many per second from then on. */
export class RateLimit {
  readonly #burst: number
  readonly #perSecond: number
  #left: number
  #since = performance.now()

  constructor(burst: number, perSecond: number) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#left = burst
  }

  /** Whether one more is allowed. After the first time, the clock is only read when what was allowed at once is used up. */
  take(): boolean {
    if (this.#left < 1) {
      const now = performance.now()
      const earned = ((now - this.#since) * this.#perSecond) / 1000
      this.#since = now
      this.#left = Math.min(this.#burst, this.#left + earned)
    }
    if (this.#left < 1) return false
    this.#left--
    return true
  }
}
