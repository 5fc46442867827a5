/**
 * Lets one loop sleep until somebody has work for it. Waking before the wait
 * counts, so that nothing is missed between looking for work and sleeping.
 */
export class Wakeup {
  #awake = false
  #resolve: (() => void) | undefined

  wake(): void {
    this.#awake = true
    this.#resolve?.()
  }

  /** Until woken, aborted or `timeoutMs` later; never rejects: the caller looks again at what there is to do. */
  async wait(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    if (!this.#awake && !signal.aborted) await this.#sleep(signal, timeoutMs)
    this.#awake = false
  }

  #sleep(signal: AbortSignal, timeoutMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => finish(), timeoutMs)
      timer?.unref()
      const finish = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', finish)
        this.#resolve = undefined
        resolve()
      }
      signal.addEventListener('abort', finish, { once: true })
      this.#resolve = finish
    })
  }
}
