import koffi from 'koffi'

/** What to wait for. */
export type Readiness = 'readable' | 'writable'

/**
 * Waits for a descriptor on Node's own event loop (libuv's `uv_poll`, through koffi), without a thread of its own, for
 * the sockets that Node itself cannot hold: SOCK_SEQPACKET and AF_PACKET. Close it before the descriptor is closed.
 *
 * Three properties of the binding are dealt with here and nowhere else: the callback's first argument is libuv's
 * status, whatever its type declaration says; it runs outside of Node's callback scope, so that promises settled in it
 * would wait for some other event; and libuv repeats it for as long as nobody reads.
 */
export class ReadinessWatcher {
  readonly #fd: number
  readonly #onReady: () => void
  #handle: ReturnType<typeof koffi.node.poll> | undefined
  #armed = false
  #referenced = true

  constructor(fd: number, onReady: () => void) {
    this.#fd = fd
    this.#onReady = onReady
  }

  /** Calls `onReady` once, soon after the descriptor became ready or broke. Arming it twice is arming it once. */
  arm(readiness: Readiness = 'readable'): void {
    if (this.#armed) return
    this.#armed = true
    const interest = { readable: readiness === 'readable', writable: readiness === 'writable' }
    if (this.#handle === undefined) {
      this.#handle = koffi.node.poll(this.#fd, interest, () => this.#fire())
      if (!this.#referenced) this.#handle.unref()
    } else {
      this.#handle.start(interest, () => this.#fire())
    }
  }

  /** Whether waiting keeps the process alive (default true). */
  setReferenced(referenced: boolean): void {
    this.#referenced = referenced
    if (referenced) this.#handle?.ref()
    else this.#handle?.unref()
  }

  /** Stops waiting for good; `onReady` is not called any more. */
  close(): void {
    this.#armed = false
    this.#handle?.close()
    this.#handle = undefined
  }

  #fire(): void {
    this.#handle?.stop()
    setImmediate(() => {
      if (!this.#armed) return
      this.#armed = false
      this.#onReady()
    })
  }
}
