/**
 * How many connections one workload may have open, in both directions and
 * tunnelled streams included. The proxy is shared by the pods of a node:
 * without a bound, whoever can connect to one of them could use up the file
 * descriptors and the memory of all. Istio's ztunnel has none.
 */
export class ConnectionLimit {
  readonly max: number
  #open = 0

  constructor(max: number) {
    this.max = max
  }

  get open(): number {
    return this.#open
  }

  /** Takes a place and returns the function that gives it back (once); undefined when all are taken. */
  take(): (() => void) | undefined {
    if (this.#open >= this.max) return undefined
    this.#open++
    let held = true
    return () => {
      if (held) this.#open--
      held = false
    }
  }

  /** For the access log. */
  get refusal(): string {
    return (
      `too many connections: ${this.max} of this workload are open; ` +
      'see who opens them (/connections), or raise ZTUNNEL_MAX_CONNECTIONS_PER_WORKLOAD'
    )
  }
}
