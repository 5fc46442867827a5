import { type Clock, systemClock } from './clock.ts'
import type { LogFields } from './log-format.ts'
import type { ScopedLogger } from './logger.ts'

export interface WarningLimiterOptions {
  readonly clock?: Clock
  /** Milliseconds; default 10 seconds. */
  readonly intervalMs?: number
  /** Lines of each key in one interval; default 1. */
  readonly burst?: number
  /** Keys remembered, the least recently written dropped first. Default 1,024. */
  readonly maxKeys?: number
}

/** Often enough to see that a failure lasts, rare enough that a log of it can be read. */
const DEFAULT_INTERVAL_MS = 10_000

/** About 100 KB; a key may name a peer, and there can be any number of those. */
const DEFAULT_MAX_KEYS = 1024

/**
 * Keeps a failure that repeats from filling the log: the first warnings of a
 * key are written, those that follow within the interval are counted, and the
 * next one written carries their number as `suppressed`.
 */
export class WarningLimiter {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #burst: number
  readonly #maxKeys: number
  readonly #seen = new Map<string, { until: number; left: number; suppressed: number }>()

  constructor(options: WarningLimiterOptions = {}) {
    this.#clock = options.clock ?? systemClock
    this.#intervalMs = options.intervalMs ?? DEFAULT_INTERVAL_MS
    this.#burst = options.burst ?? 1
    this.#maxKeys = options.maxKeys ?? DEFAULT_MAX_KEYS
  }

  /** Writes the warning, or counts it. `key` says what counts as the same failure. */
  warn(log: ScopedLogger, key: string, message: string, fields?: LogFields): void {
    const now = this.#clock.monotonic()
    const entry = this.#seen.get(key)
    if (entry !== undefined && now < entry.until) {
      if (entry.left === 0) {
        entry.suppressed += 1
      } else {
        entry.left -= 1
        log.warn(message, fields)
      }
      return
    }
    // Removed and added again, so that the map's order is that of the last line written.
    this.#seen.delete(key)
    this.#seen.set(key, { until: now + this.#intervalMs, left: this.#burst - 1, suppressed: 0 })
    if (this.#seen.size > this.#maxKeys) this.#dropOldest()
    const suppressed = entry === undefined || entry.suppressed === 0 ? undefined : entry.suppressed
    log.warn(message, suppressed === undefined ? fields : { ...fields, suppressed })
  }

  #dropOldest(): void {
    const oldest = this.#seen.keys().next()
    if (oldest.done !== true) this.#seen.delete(oldest.value)
  }
}
