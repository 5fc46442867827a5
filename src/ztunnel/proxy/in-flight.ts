/** Work that has been begun and has not ended; a drain waits for it. */
export class InFlight {
  readonly #work = new Set<Promise<unknown>>()
  readonly #waiting: (() => void)[] = []

  /** Counts the work until it settles, whichever way. */
  add(work: Promise<unknown>): void {
    this.#work.add(work)
    const done = (): void => {
      this.#work.delete(work)
      if (this.#work.size === 0) for (const resolve of this.#waiting.splice(0)) resolve()
    }
    work.then(done, done)
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.#work.size === 0) return Promise.resolve()
    return new Promise((resolve) => void this.#waiting.push(resolve))
  }
}
