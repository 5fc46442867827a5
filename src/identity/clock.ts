/** Time as the renewal of certificates sees it, so that tests need not wait for it. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch: what certificates' dates are compared with. */
  now(): number
  /** Runs once after `delayMs` (any length); the returned function cancels. */
  schedule(delayMs: number, run: () => void): () => void
}

/**
 * Node fires a timer at once when its delay does not fit in 31 bits
 * (24.8 days); the half-life of a 90-day certificate does not.
 */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  schedule(delayMs, run) {
    let remaining = Math.max(0, delayMs)
    let timer: NodeJS.Timeout
    const arm = (): void => {
      const step = Math.min(remaining, LONGEST_TIMER_MS)
      remaining -= step
      timer = setTimeout(() => (remaining > 0 ? arm() : run()), step)
      timer.unref()
    }
    arm()
    return () => clearTimeout(timer)
  },
}
