import { XdsError } from './errors.ts'

/** Questions that may be open at once, over all of a client's callers. Entries. */
export const MAX_OPEN_DEMANDS = 10_000
/** Names known not to exist that are kept; asking for an older one asks the control plane again. Entries. */
export const MAX_ABSENT_NAMES = 10_000

/**
 * The on-demand names of one type: who waits for which, and what the control
 * plane has said does not exist. It keeps telling about a name once asked, so
 * each is asked for once; names that do not exist are let go of in the end.
 */
export class OnDemandNames {
  readonly #waiting = new Map<string, Set<Waiter>>()
  readonly #absent = new Set<string>()
  readonly #toSubscribe = new Set<string>()
  readonly #toUnsubscribe = new Set<string>()
  #open = 0

  /** Whether the control plane has answered that there is nothing of that name. */
  isAbsent(name: string): boolean {
    return this.#absent.has(name)
  }

  /** Asked for and not answered. */
  pending(): Iterable<string> {
    return this.#waiting.keys()
  }

  /** Everything that a new stream must subscribe to again besides what is held. */
  outstanding(): readonly string[] {
    return [...this.#waiting.keys(), ...this.#absent]
  }

  /** Resolves when the control plane has answered, one way or the other. Rejects with `XdsError`. */
  ask(name: string, timeoutMs: number): Promise<void> {
    if (this.#open >= MAX_OPEN_DEMANDS) {
      const message = `${name}: ${MAX_OPEN_DEMANDS} names are being asked for already; is the control plane answering?`
      return Promise.reject(new XdsError('demand-refused', message))
    }
    return new Promise((resolve, reject) => {
      const waiters = this.#waiting.get(name) ?? new Set()
      if (waiters.size === 0) {
        this.#waiting.set(name, waiters)
        this.#toSubscribe.add(name)
        this.#toUnsubscribe.delete(name)
      }
      const finish = (error?: XdsError) => {
        clearTimeout(timer)
        waiters.delete(finish)
        this.#open--
        if (error === undefined) resolve()
        else reject(error)
      }
      const timer = setTimeout(() => {
        const message = `${name}: no answer from the control plane within ${timeoutMs} ms; is it reachable?`
        finish(new XdsError('demand-timeout', message))
      }, timeoutMs)
      timer.unref()
      waiters.add(finish)
      this.#open++
    })
  }

  /** A resource came under this name or alias. */
  found(name: string): void {
    this.#absent.delete(name)
    this.#answer(name)
  }

  /** The control plane says that there is nothing of this name. */
  missing(name: string): void {
    if (this.#waiting.has(name)) this.#rememberAbsent(name)
    this.#answer(name)
  }

  /** What to tell the control plane next; undefined for nothing. Counts as told. */
  takeChanges():
    | { readonly subscribe: readonly string[]; readonly unsubscribe: readonly string[] }
    | undefined {
    if (this.#toSubscribe.size === 0 && this.#toUnsubscribe.size === 0) return undefined
    const changes = { subscribe: [...this.#toSubscribe], unsubscribe: [...this.#toUnsubscribe] }
    this.#toSubscribe.clear()
    this.#toUnsubscribe.clear()
    return changes
  }

  /** A new stream: it begins with everything outstanding, so nothing is left to add. */
  restart(): void {
    this.#toSubscribe.clear()
    this.#toUnsubscribe.clear()
  }

  /** Refuses all who wait. */
  close(): void {
    for (const [name, waiters] of this.#waiting) {
      for (const finish of [...waiters])
        finish(new XdsError('demand-refused', `${name}: the xDS client was stopped`))
    }
    this.#waiting.clear()
  }

  #answer(name: string): void {
    const waiters = this.#waiting.get(name)
    if (waiters === undefined) return
    this.#waiting.delete(name)
    for (const finish of [...waiters]) finish()
  }

  #rememberAbsent(name: string): void {
    this.#absent.add(name)
    if (this.#absent.size <= MAX_ABSENT_NAMES) return
    const [oldest] = this.#absent
    if (oldest === undefined) return
    this.#absent.delete(oldest)
    this.#toUnsubscribe.add(oldest)
  }
}

type Waiter = (error?: XdsError) => void
