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

interface Entry {
  readonly connection: TrackedConnection
  readonly abort: AbortController
  readonly policy: PolicyContext | undefined
  denied: Verdict | undefined
}

/** Handle of one tracked connection. */
export interface Tracked {
  readonly signal: AbortSignal
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
    const entry: Entry = { connection, abort: new AbortController(), policy, denied: undefined }
    if (this.#closed !== undefined) entry.abort.abort(this.#closed)
    this.#entries.add(entry)
    return {
      signal: entry.abort.signal,
      denied: () => entry.denied,
      release: () => void this.#entries.delete(entry),
    }
  }

  /** Asks again for every connection that a policy bears on, and cuts those that are denied now. */
  reevaluate(denied: Reevaluate): void {
    for (const entry of this.#entries) {
      if (entry.policy === undefined || entry.abort.signal.aborted) continue
      entry.denied = denied(entry.policy)
      if (entry.denied === undefined) continue
      entry.abort.abort(new ProxyError('policy-changed', 'connection closed due to policy change'))
    }
  }

  /** Cuts everything, what is still being set up included. */
  close(error: Error): void {
    this.#closed = error
    for (const entry of this.#entries) entry.abort.abort(error)
  }

  *list(): Iterable<TrackedConnection> {
    for (const { connection } of this.#entries) yield connection
  }
}
