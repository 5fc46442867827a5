/** Work that has been begun and has not ended; a drain waits for it. */
export class InFlight {
  #open = 0
  readonly #waiting: (() => void)[] = []

  /** Counts the work until it settles, whichever way. */
  add(work: Promise<unknown>): void {
    this.#open++
    work.then(this.#done, this.#done)
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.#open === 0) return Promise.resolve()
    return new Promise((resolve) => void this.#waiting.push(resolve))
  }

  readonly #done = (): void => {
    this.#open--
    if (this.#open === 0) for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
