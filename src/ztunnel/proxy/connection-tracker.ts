import type { Cancellation } from '../../hbone/index.ts'
import type { PolicyContext, Verdict } from '../../mesh/index.ts'
import { ProxyError } from '../errors.ts'

/** A live connection as the admin API shows it. */
export interface TrackedConnection {
  readonly direction: 'inbound' | 'outbound'
  /** `ip:port` of the peer of the accepted connection. */
  readonly source: string
  /** What the client asked for: the redirected destination, or the CONNECT's authority. */
  readonly originalDestination: string
  /** What is dialled. */
  readonly actualDestination: string
  readonly protocol: 'HBONE' | 'TCP'
}

/** The verdict that ends a connection, or undefined while it may stay. */
export type Reevaluate = (context: PolicyContext) => Verdict | undefined

/** Handle of one tracked connection. */
export interface Tracked {
  readonly signal: Cancellation
  /** What policies see of it; undefined when none bears on it. */
  readonly policy: PolicyContext | undefined
  /** The verdict that cut it; undefined unless a policy did. */
  denied(): Verdict | undefined
  /** Ends the tracking, not the connection. */
  release(): void
}

/**
 * The live connections of one workload: listed for the operator, cut when a
 * policy that arrives later denies them, and cut when the workload goes.
 * An inbound connection is tracked before its first verdict, so that a policy
 * push between verdict and pump cannot slip through.
 */
export class ConnectionTracker {
  readonly #entries = new Set<Entry>()
  #closed: Error | undefined

  track(connection: TrackedConnection, policy?: PolicyContext): Tracked {
    const entry = new Entry(this.#entries, connection, policy)
    if (this.#closed !== undefined) entry.cut(this.#closed)
    this.#entries.add(entry)
    return entry
  }

  /** Asks again for every connection that a policy bears on, and cuts those that are denied now. */
  reevaluate(denied: Reevaluate): void {
    for (const entry of this.#entries) {
      if (entry.policy === undefined || entry.aborted) continue
      const verdict = denied(entry.policy)
      if (verdict === undefined) continue
      entry.cut(new ProxyError('policy-changed', 'connection closed due to policy change'), verdict)
    }
  }

  /** Cuts everything, what is still being set up included. */
  close(error: Error): void {
    this.#closed = error
    for (const entry of this.#entries) entry.cut(error)
  }

  *list(): Iterable<TrackedConnection> {
    for (const { connection } of this.#entries) {
      // What is tracked may be more than is shown, and bound to this thread.
      const { direction, source, originalDestination, actualDestination, protocol } = connection
      yield { direction, source, originalDestination, actualDestination, protocol }
    }
  }
}

/** What is remembered of one connection, its handle and its signal: one object, for there may be very many. */
class Entry implements Tracked, Cancellation {
  readonly connection: TrackedConnection
  readonly policy: PolicyContext | undefined
  readonly #all: Set<Entry>
  /** Dial, then pump: rarely more than one at a time. */
  #listeners: readonly (() => void)[] = NONE
  #reason: Error | undefined
  #denied: Verdict | undefined

  constructor(all: Set<Entry>, connection: TrackedConnection, policy: PolicyContext | undefined) {
    this.#all = all
    this.connection = connection
    this.policy = policy
  }

  get signal(): Cancellation {
    return this
  }

  get aborted(): boolean {
    return this.#reason !== undefined
  }

  get reason(): Error | undefined {
    return this.#reason
  }

  denied(): Verdict | undefined {
    return this.#denied
  }

  release(): void {
    this.#all.delete(this)
  }

  /** Fires the signal, once. */
  cut(reason: Error, denied?: Verdict): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#denied = denied
    const listeners = this.#listeners
    this.#listeners = NONE
    for (const listener of listeners) listener()
  }

  throwIfAborted(): void {
    if (this.#reason !== undefined) throw this.#reason
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    if (this.#reason === undefined) this.#listeners = [...this.#listeners, listener]
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    if (this.#listeners.length > 0) this.#listeners = this.#listeners.filter((known) => known !== listener)
  }
}

const NONE: readonly (() => void)[] = []
