import { formatSpiffeId, type SpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import type { GetSvidOptions } from './svid-manager.ts'
import type { SvidSource } from './svid-source.ts'

export interface SvidReplicaOptions {
  /** Asks the owner of the certificates, who from then on calls `put` with each new one. Rejects with why there is none. */
  readonly fetch: (id: SpiffeId) => Promise<Svid>
  /** Milliseconds since the epoch; default the system's. */
  readonly now?: () => number
}

interface Entry {
  svid: Svid | undefined
  /** One question for all that wait. */
  asked: Promise<Svid> | undefined
  readonly listeners: Set<(svid: Svid) => void>
}

/**
 * What one thread knows of the certificates that another one fetches and renews. Each is asked for once; renewals come
 * unasked.
 */
export class SvidReplica implements SvidSource {
  readonly #fetch: SvidReplicaOptions['fetch']
  readonly #now: () => number
  readonly #entries = new Map<string, Entry>()

  constructor({ fetch, now = Date.now }: SvidReplicaOptions) {
    this.#fetch = fetch
    this.#now = now
  }

  async get(id: SpiffeId, { signal }: GetSvidOptions = {}): Promise<Svid> {
    signal?.throwIfAborted()
    const known = this.peek(id)
    if (known !== undefined) return known
    const entry = this.#entry(id)
    entry.asked ??= this.#fetch(id).finally(() => {
      entry.asked = undefined
    })
    const svid = await untilAborted(entry.asked, signal)
    if (entry.svid === undefined || entry.svid.notAfter < svid.notAfter) entry.svid = svid
    return svid
  }

  peek(id: SpiffeId): Svid | undefined {
    const svid = this.#entries.get(formatSpiffeId(id))?.svid
    return svid !== undefined && svid.notAfter.getTime() > this.#now() ? svid : undefined
  }

  onRotate(id: SpiffeId, callback: (svid: Svid) => void): () => void {
    const { listeners } = this.#entry(id)
    listeners.add(callback)
    return () => void listeners.delete(callback)
  }

  /** A failure is the owner's to log. */
  prefetch(id: SpiffeId): void {
    this.get(id).catch(() => {})
  }

  /** A certificate that has become available. */
  put(svid: Svid): void {
    const entry = this.#entry(svid.id)
    entry.svid = svid
    for (const listener of [...entry.listeners]) listener(svid)
  }

  /** For an identity that no workload here has any more. */
  forget(id: SpiffeId): void {
    const entry = this.#entries.get(formatSpiffeId(id))
    if (entry === undefined) return
    entry.svid = undefined
    if (entry.listeners.size === 0) this.#entries.delete(formatSpiffeId(id))
  }

  #entry(id: SpiffeId): Entry {
    const name = formatSpiffeId(id)
    const known = this.#entries.get(name)
    if (known !== undefined) return known
    const entry: Entry = { svid: undefined, asked: undefined, listeners: new Set() }
    this.#entries.set(name, entry)
    return entry
  }
}

/** Ends the wait, not the question. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    // Nobody listens to it any more.
    work.catch(() => {})
  }
}
