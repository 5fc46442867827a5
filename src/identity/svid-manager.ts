import { backoffMs } from './backoff.ts'
import { type Clock, systemClock } from './clock.ts'
import { IdentityError } from './errors.ts'
import { type FetchPriority, FetchQueue } from './fetch-queue.ts'
import { type IdentityLog, silentLog } from './log.ts'
import { formatSpiffeId, type SpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import { dumpState, type IdentityDump, type SvidState } from './svid-state.ts'

export interface SvidManagerOptions {
  /** Gets a new certificate, e.g. `(id, signal) => caClient.fetch(id, signal)`. */
  readonly fetch: (id: SpiffeId, signal: AbortSignal) => Promise<Svid>
  readonly clock?: Clock
  /** In [0, 1), spreads retries. Default `Math.random`. */
  readonly random?: () => number
  /** Calls to the CA at once. Default 8, as ztunnel. */
  readonly maxConcurrent?: number
  readonly log?: IdentityLog
}

export interface GetSvidOptions {
  /** Default `realtime`. */
  readonly priority?: FetchPriority
  /** Ends the wait, not the fetch, which others may wait for. */
  readonly signal?: AbortSignal
}

interface Waiter {
  readonly resolve: (svid: Svid) => void
  readonly reject: (error: Error) => void
}

interface Entry {
  readonly id: SpiffeId
  readonly name: string
  state: SvidState
  readonly waiters: Set<Waiter>
  /** In a row, since the last success. */
  failures: number
  /** By the clock; of the last failure. */
  failedAt: number
  /** Set while a fetch waits its turn or runs. */
  busy: boolean
  inFlight: AbortController | undefined
  cancelTimer: () => void
}

/** Keeps the certificates of the identities in use: fetches, renews at half life, retries, forgets. */
export class SvidManager {
  readonly #options: SvidManagerOptions
  readonly #clock: Clock
  readonly #log: IdentityLog
  readonly #queue: FetchQueue
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Map<string, Set<(svid: Svid) => void>>()
  #closed = false

  constructor(options: SvidManagerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLog
    this.#queue = new FetchQueue(options.maxConcurrent ?? MAX_CONCURRENT_FETCHES)
  }

  /**
   * The certificate of an identity, valid now; waits for the first one. While
   * fetching fails, retries go on in the background (1 s, doubling, at most
   * 150 s), and calls get the last error at once. But the first call later
   * than 5 s after a failure tries anew, and waits: traffic goes on soon after
   * the CA is back, however long it was away.
   */
  async get(id: SpiffeId, options: GetSvidOptions = {}): Promise<Svid> {
    options.signal?.throwIfAborted()
    if (this.#closed) throw closedError()
    const { priority = 'realtime' } = options
    const entry = this.#entries.get(formatSpiffeId(id)) ?? this.#create(id, priority)
    if (entry.state.kind === 'unavailable') {
      if (this.#clock.now() - entry.failedAt < FRESH_FAILURE_MS) throw entry.state.error
      this.#retry(entry, priority)
    }
    if (entry.state.kind === 'available') {
      if (this.#isValid(entry.state.svid)) return entry.state.svid
      // Possible when the machine slept, or the CA has been silent until the very end.
      entry.state = { kind: 'initializing' }
      if (!entry.busy) this.#enqueue(entry, priority)
    }
    this.#queue.raise(entry.name, priority)
    return wait(entry.waiters, options.signal)
  }

  /** What `get` would return at once; starts nothing. */
  peek(id: SpiffeId): Svid | undefined {
    const state = this.#entries.get(formatSpiffeId(id))?.state
    return state?.kind === 'available' && this.#isValid(state.svid) ? state.svid : undefined
  }

  /** Calls back with every certificate that becomes available from now on, until the returned function is called. */
  onRotate(id: SpiffeId, callback: (svid: Svid) => void): () => void {
    const name = formatSpiffeId(id)
    const callbacks = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, callbacks)
    callbacks.add(callback)
    return () => {
      callbacks.delete(callback)
      if (callbacks.size === 0 && this.#listeners.get(name) === callbacks) this.#listeners.delete(name)
    }
  }

  /**
   * For a workload that will need it soon. Failures show in the log and in
   * `dump`. One that failed is tried again now: a workload that has just come
   * may be the reason why the CA will grant it.
   */
  prefetch(id: SpiffeId): void {
    if (this.#closed) return
    const entry = this.#entries.get(formatSpiffeId(id))
    if (entry === undefined) this.#create(id, 'warmup')
    else if (entry.state.kind === 'unavailable') this.#retry(entry, 'warmup')
  }

  /** For an identity that no workload here has any more: waiters get an error, renewal ends. */
  forget(id: SpiffeId): void {
    this.#drop(formatSpiffeId(id), new IdentityError('FORGOTTEN', 'the identity is no longer needed'))
  }

  /** `certificates` of ztunnel's `config_dump`, sorted by identity. */
  dump(): IdentityDump[] {
    return [...this.#entries.values()]
      .map((entry) => dumpState(entry.id, entry.state))
      .sort((a, b) => (a.identity < b.identity ? -1 : 1))
  }

  close(): void {
    this.#closed = true
    for (const name of [...this.#entries.keys()]) this.#drop(name, closedError())
    this.#listeners.clear()
  }

  #create(id: SpiffeId, priority: FetchPriority): Entry {
    const entry: Entry = {
      id,
      name: formatSpiffeId(id),
      state: { kind: 'initializing' },
      waiters: new Set(),
      failures: 0,
      failedAt: Number.NEGATIVE_INFINITY,
      busy: false,
      inFlight: undefined,
      cancelTimer: () => {},
    }
    this.#entries.set(entry.name, entry)
    this.#enqueue(entry, priority)
    return entry
  }

  /** Does not wait for the next attempt's time. Nothing to do when one waits for its turn or runs already. */
  #retry(entry: Entry, priority: FetchPriority): void {
    if (entry.busy) return
    entry.state = { kind: 'initializing' }
    this.#enqueue(entry, priority)
  }

  #drop(name: string, error: IdentityError): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    this.#entries.delete(name)
    entry.cancelTimer()
    this.#queue.remove(name)
    entry.inFlight?.abort(error)
    settle(entry, (waiter) => waiter.reject(error))
  }

  #enqueue(entry: Entry, priority: FetchPriority): void {
    entry.cancelTimer()
    entry.busy = true
    this.#queue.add(entry.name, priority, () => this.#fetch(entry))
  }

  async #fetch(entry: Entry): Promise<void> {
    const controller = new AbortController()
    entry.inFlight = controller
    const cancelTimeout = this.#clock.schedule(FETCH_TIMEOUT_MS, () => {
      controller.abort(
        new IdentityError('SIGNING_FAILED', `no answer from the CA within ${FETCH_TIMEOUT_MS} ms`),
      )
    })
    let outcome: Svid | Error
    try {
      outcome = await untilAborted(this.#options.fetch(entry.id, controller.signal), controller.signal)
      if (!this.#isValid(outcome)) outcome = expiredOnArrival(outcome)
    } catch (error) {
      outcome = error instanceof Error ? error : new Error(String(error))
    }
    cancelTimeout()
    entry.busy = false
    entry.inFlight = undefined
    if (this.#entries.get(entry.name) !== entry) return
    if (outcome instanceof Error) this.#failed(entry, outcome)
    else this.#succeeded(entry, outcome)
  }

  #succeeded(entry: Entry, svid: Svid): void {
    entry.state = { kind: 'available', svid }
    entry.failures = 0
    const delayMs = renewalDelayMs(svid, this.#clock.now())
    entry.cancelTimer = this.#clock.schedule(delayMs, () => this.#enqueue(entry, 'background'))
    this.#log.debug(
      { identity: entry.name, notAfter: svid.notAfter, renewInMs: delayMs },
      'certificate available',
    )
    settle(entry, (waiter) => waiter.resolve(svid))
    for (const callback of [...(this.#listeners.get(entry.name) ?? [])]) {
      try {
        callback(svid)
      } catch (error) {
        this.#log.error({ identity: entry.name, err: error }, 'a certificate rotation callback failed')
      }
    }
  }

  #failed(entry: Entry, error: Error): void {
    entry.failures++
    entry.failedAt = this.#clock.now()
    let delayMs = backoffMs(entry.failures, (this.#options.random ?? Math.random)())
    if (entry.state.kind === 'available' && this.#isValid(entry.state.svid)) {
      const leftMs = entry.state.svid.notAfter.getTime() - this.#clock.now()
      delayMs = Math.min(delayMs, leftMs)
      this.#log.warn(
        { identity: entry.name, err: error, retryInMs: delayMs, leftMs },
        'certificate renewal failed',
      )
    } else {
      entry.state = { kind: 'unavailable', error }
      this.#log.warn(
        { identity: entry.name, err: error, retryInMs: delayMs },
        'no certificate for this identity',
      )
      settle(entry, (waiter) => waiter.reject(error))
    }
    entry.cancelTimer = this.#clock.schedule(delayMs, () => this.#enqueue(entry, 'background'))
  }

  #isValid(svid: Svid): boolean {
    return svid.notAfter.getTime() > this.#clock.now()
  }
}

/**
 * Half of the life that a certificate has left when it comes. Half of its whole
 * validity, as the reference counts, lies in the past for a short-lived one,
 * because a CA dates its certificates back by minutes: a loop of renewals.
 */
export function renewalDelayMs(svid: Pick<Svid, 'notBefore' | 'notAfter'>, now: number): number {
  const start = Math.max(svid.notBefore.getTime(), now)
  return Math.max(start - now + (svid.notAfter.getTime() - start) / 2, MIN_RENEWAL_DELAY_MS)
}

function wait(waiters: Set<Waiter>, signal: AbortSignal | undefined): Promise<Svid> {
  const { promise, resolve, reject } = Promise.withResolvers<Svid>()
  const waiter: Waiter = { resolve, reject }
  waiters.add(waiter)
  const onAbort = (): void => {
    waiters.delete(waiter)
    reject(signal?.reason)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  return promise.finally(() => signal?.removeEventListener('abort', onAbort))
}

function settle(entry: Entry, finish: (waiter: Waiter) => void): void {
  for (const waiter of entry.waiters) finish(waiter)
  entry.waiters.clear()
}

/** A fetch that ignores its signal must not hold its place in the queue. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function expiredOnArrival(svid: Svid): IdentityError {
  const when = svid.notAfter.toISOString()
  return new IdentityError(
    'EXPIRED',
    `the CA returned a certificate that expired at ${when}; compare this machine's clock with the CA's`,
  )
}

function closedError(): IdentityError {
  return new IdentityError('CLOSED', 'the certificate manager is closed')
}

/** As ztunnel: a node that starts must not overrun its CA. */
const MAX_CONCURRENT_FETCHES = 8
/** Twice the CA client's own limit: the guard for fetchers that have none. */
const FETCH_TIMEOUT_MS = 60_000
/** So long a failure is the answer to every call: a busy workload must not ask a CA that is down without pause. */
const FRESH_FAILURE_MS = 5_000
/** A certificate of under half a second must not become a busy loop. */
const MIN_RENEWAL_DELAY_MS = 250
