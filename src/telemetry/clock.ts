/** Time as this process sees it; injected so that tests need not wait. */
export interface Clock {
  /** Wall clock: milliseconds since the Unix epoch, with fractions down to microseconds. */
  now(): number
  /** Milliseconds since an arbitrary start; never goes backwards. */
  monotonic(): number
}

/** The machine's clocks. */
export const systemClock: Clock = {
  // Date.now() has whole milliseconds only, and log lines carry microseconds.
  now: () => performance.timeOrigin + performance.now(),
  monotonic: () => performance.now(),
}
