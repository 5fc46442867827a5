/**
 * How many connections one workload has open: [all, those of thread 0, of thread 1, …]. Of each thread besides the
 * sum, so that those of a thread that ends can be taken off.
 */
export type ConnectionCounts = Int32Array

/** One thread's part in a workload's connections. */
export interface ConnectionShare {
  readonly counts: ConnectionCounts
  /** From 0. */
  readonly thread: number
}

/** In memory that `threads` threads share. */
export function createConnectionCounts(threads: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer((1 + threads) * Int32Array.BYTES_PER_ELEMENT))
}

/** Gives back all places that a thread had: it has ended, and its connections with it. */
export function releaseThread(counts: ConnectionCounts, thread: number): void {
  Atomics.sub(counts, 0, Atomics.exchange(counts, 1 + thread, 0))
}

/**
 * How many connections one workload may have open, in both directions and
 * tunnelled streams included. The proxy is shared by the pods of a node:
 * without a bound, whoever can connect to one of them could use up the file
 * descriptors and the memory of all. Istio's ztunnel has none. Holds over all
 * threads that are given shares of the same counts.
 */
export class ConnectionLimit {
  readonly max: number
  readonly #counts: ConnectionCounts
  readonly #own: number

  constructor(max: number, share: ConnectionShare = { counts: new Int32Array(2), thread: 0 }) {
    this.max = max
    this.#counts = share.counts
    this.#own = 1 + share.thread
  }

  get open(): number {
    return Atomics.load(this.#counts, 0)
  }

  /** Takes a place and returns the function that gives it back (once); undefined when all are taken. */
  take(): (() => void) | undefined {
    if (!this.enter()) return undefined
    let held = true
    return () => {
      if (held) this.leave()
      held = false
    }
  }

  /** Takes a place, to be given back by one `leave`; false when all are taken. */
  enter(): boolean {
    // Taken before it is compared: two threads must not both see the last free place.
    if (Atomics.add(this.#counts, 0, 1) >= this.max) {
      Atomics.sub(this.#counts, 0, 1)
      return false
    }
    Atomics.add(this.#counts, this.#own, 1)
    return true
  }

  leave(): void {
    Atomics.sub(this.#counts, this.#own, 1)
    Atomics.sub(this.#counts, 0, 1)
  }

  /** For the access log. */
  get refusal(): string {
    return (
      `too many connections: ${this.max} of this workload are open; ` +
      'see who opens them (/connections), or raise ZTUNNEL_MAX_CONNECTIONS_PER_WORKLOAD'
    )
  }
}
