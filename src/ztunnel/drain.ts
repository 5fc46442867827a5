import type { ScopedLogger } from '../telemetry/index.ts'

/** `graceful`: connections may end by themselves until the deadline. `immediate`: they are cut now. */
export type DrainMode = 'graceful' | 'immediate'

export interface DrainOptions {
  readonly log: ScopedLogger
  /** Calls back after so many milliseconds, unless cancelled. Default: real time. */
  readonly schedule?: (callback: () => void, ms: number) => () => void
}

/** For how long holders may take to let go once they have been forced: enough to write their last lines. */
const FORCED_RELEASE_MS = 1000

/**
 * One orderly end (wire/ztunnel 16). Whoever must not be cut off in the
 * middle holds it; whoever accepts work stops when `signal` fires; and what is
 * still there when `forced` fires ends at once.
 */
export class Drain {
  readonly #log: ScopedLogger
  readonly #schedule: NonNullable<DrainOptions['schedule']>
  readonly #started = new AbortController()
  readonly #forced = new AbortController()
  readonly #holders = new Map<symbol, string>()
  readonly #done = Promise.withResolvers<void>()
  #cancelTimer: (() => void) | undefined

  constructor({ log, schedule = realTime }: DrainOptions) {
    this.#log = log
    this.#schedule = schedule
  }

  /** Fires when the drain starts: accept nothing new, tell peers to go. */
  get signal(): AbortSignal {
    return this.#started.signal
  }

  /** Fires at the deadline, or at the start of an immediate drain: end what is still open. */
  get forced(): AbortSignal {
    return this.#forced.signal
  }

  /** The names of those that hold the drain open now, sorted. */
  holders(): string[] {
    return [...this.#holders.values()].toSorted()
  }

  /**
   * Keeps the drain from completing until the returned function is called.
   * That does nothing the second time.
   */
  hold(name: string): () => void {
    const holder = Symbol(name)
    this.#holders.set(holder, name)
    return () => {
      if (this.#holders.delete(holder)) this.#completeIfFree()
    }
  }

  /**
   * Starts the drain, and resolves when nobody holds it any more, in any case
   * soon after the deadline. A second call can only make it quicker:
   * `immediate` forces a graceful drain that is under way.
   *
   * @param deadlineMs of a graceful drain.
   */
  start(mode: DrainMode, deadlineMs: number): Promise<void> {
    if (!this.#started.signal.aborted) {
      this.#started.abort()
      this.#completeIfFree()
      if (mode === 'graceful' && this.#holders.size > 0) this.#after(deadlineMs, () => this.#deadline())
    }
    if (mode === 'immediate') this.#force()
    return this.#done.promise
  }

  #deadline(): void {
    this.#log.warn('drain duration expired with pending connections, forcefully shutting down', {
      pending: this.#holderSummary(),
    })
    this.#force()
  }

  #force(): void {
    if (this.#forced.signal.aborted) return
    this.#forced.abort()
    if (this.#holders.size === 0) return
    this.#after(FORCED_RELEASE_MS, () => {
      this.#log.warn('shutting down although not everything has ended', { pending: this.#holderSummary() })
      this.#done.resolve()
    })
  }

  #after(ms: number, callback: () => void): void {
    this.#cancelTimer?.()
    this.#cancelTimer = this.#schedule(callback, ms)
  }

  #completeIfFree(): void {
    if (this.#holders.size > 0 || !this.#started.signal.aborted) return
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#done.resolve()
  }

  /** `connection: 12, listener: 1`: names are few, holders may be thousands. */
  #holderSummary(): string {
    const counts = Map.groupBy(this.#holders.values(), (name) => name)
    return [...counts]
      .map(([name, all]) => `${name}: ${all.length}`)
      .toSorted()
      .join(', ')
  }
}

function realTime(callback: () => void, ms: number): () => void {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}
