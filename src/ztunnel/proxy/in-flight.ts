/** Work that has been begun and has not ended; a drain waits for it. */
export class InFlight {
  #open = 0
  readonly #waiting: (() => void)[] = []

  /** Counts the work until it settles, whichever way; `whenDone` is called then. */
  add(work: Promise<unknown>, whenDone?: () => void): void {
    this.#open++
    const done = whenDone === undefined ? this.#done : () => this.#doneThen(whenDone)
    work.then(done, done)
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.#open === 0) return Promise.resolve()
    return new Promise((resolve) => void this.#waiting.push(resolve))
  }

  #doneThen(whenDone: () => void): void {
    whenDone()
    this.#done()
  }

  readonly #done = (): void => {
    this.#open--
    if (this.#open === 0) for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
