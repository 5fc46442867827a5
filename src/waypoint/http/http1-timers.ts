import type { EffectiveLimits } from './limits.ts'

export interface Http1TimerEvents {
  /** No request for as long as a connection may be idle. */
  onIdle(): void
  /** A head that was begun and not ended. */
  onSlowHead(): void
}

/**
 * Time between requests, and time within a request's head. Ours, as Node's
 * own timers need a listening server and sockets with `setTimeout`. While a
 * request is under way there is no timer: streams may be silent for hours, and
 * whether the client is alive is asked below, by the PINGs of HBONE.
 */
export class Http1Timers {
  readonly #limits: EffectiveLimits
  readonly #events: Http1TimerEvents
  #timer: NodeJS.Timeout | undefined
  #inHead = false

  constructor(limits: EffectiveLimits, events: Http1TimerEvents) {
    this.#limits = limits
    this.#events = events
  }

  /** Waits for a request. */
  idle(): void {
    this.stop()
    this.#timer = setTimeout(() => this.#events.onIdle(), this.#limits.idleTimeoutMs)
    this.#timer.unref()
  }

  /** Bytes of a head have come; only the first ones count. */
  head(): void {
    if (this.#inHead) return
    this.stop()
    this.#inHead = true
    this.#timer = setTimeout(() => this.#events.onSlowHead(), this.#limits.headersTimeoutMs)
    this.#timer.unref()
  }

  stop(): void {
    this.#inHead = false
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
