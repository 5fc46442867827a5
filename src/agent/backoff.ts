/** First pause after a failure, milliseconds; istio-cni's. */
const MIN_PAUSE_MS = 5
/** Longest pause, milliseconds; istio-cni's. */
const MAX_PAUSE_MS = 5_000

/** The pause after so many failures in a row: 5 ms, doubling up to 5 s. */
export function pauseAfter(failures: number): number {
  return Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** Math.min(failures - 1, 20))
}

/**
 * Something to wait for that is also worth waking up for: calls of `signal` that come while nobody waits are not lost,
 * several of them are one.
 */
export class Wakeup {
  #signalled = false
  #wake: (() => void) | undefined

  signal(): void {
    this.#signalled = true
    this.#wake?.()
  }

  /** Resolves to true at the next signal, to false after `timeoutMs` without one (undefined: never). */
  async wait(timeoutMs?: number): Promise<boolean> {
    if (!this.#signalled) await this.#sleep(timeoutMs)
    const woken = this.#signalled
    this.#signalled = false
    return woken
  }

  #sleep(timeoutMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => this.#wake?.(), timeoutMs)
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
    })
  }
}
