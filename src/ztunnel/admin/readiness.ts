import { type Clock, type ScopedLogger, systemClock } from '../../telemetry/index.ts'

/** Something that must be done before the proxy takes traffic. */
export interface ReadinessTask {
  /** Done. Does nothing while it is done already. */
  complete(): void
  /** To be done again, e.g. because the connection to the node agent was lost. */
  reopen(): void
}

export interface ReadinessOptions {
  /** Scope `readiness`. */
  readonly log: ScopedLogger
  readonly clock?: Clock
}

/** Whether the proxy is ready, and what it still waits for. */
export class Readiness {
  readonly #log: ScopedLogger
  readonly #clock: Clock
  readonly #pending = new Map<symbol, string>()

  constructor({ log, clock = systemClock }: ReadinessOptions) {
    this.#log = log
    this.#clock = clock
  }

  /** A task that is pending from now on. */
  register(task: string): ReadinessTask {
    const key = Symbol(task)
    let since = this.#clock.monotonic()
    this.#pending.set(key, task)
    return {
      complete: () => {
        if (!this.#pending.delete(key)) return
        const duration = `${Math.floor(this.#clock.monotonic() - since)}ms`
        const rest = this.#pending.size
        const state = rest === 0 ? 'marking server ready' : `still awaiting ${rest} tasks`
        this.#log.info(`Task '${task}' complete (${duration}), ${state}`)
      },
      reopen: () => {
        if (this.#pending.has(key)) return
        since = this.#clock.monotonic()
        this.#pending.set(key, task)
        this.#log.info(`Task '${task}' is pending again, marking server not ready`)
      },
    }
  }

  /** The tasks that are not done, sorted; empty when the proxy is ready. */
  pending(): string[] {
    return [...new Set(this.#pending.values())].toSorted()
  }
}
