import type { Cancellation } from './cancellation.ts'
import type { HboneConnection } from './connection.ts'
import { orAborted } from './deadline.ts'
import type { PoolTarget } from './pool-target.ts'

/** One connection of a pool, for a dump. */
export interface PoolDump {
  readonly sourceIdentity: string
  readonly destinationIdentities: readonly string[]
  readonly address: string
  readonly port: number
  readonly sourceAddress: string
  /** Full SPIFFE URI that the peer proved. */
  readonly peerIdentity: string
  /** Of the SVID that we presented, decimal. */
  readonly serialNumber: string
  readonly state: 'open' | 'draining'
  readonly streams: number
}

/** A connection without streams. */
export interface IdleConnection {
  readonly connection: HboneConnection
  /** Milliseconds on the monotonic clock. */
  readonly idleSince: number
}

export interface PoolKeyOptions {
  readonly target: PoolTarget
  readonly maxStreams: number
  readonly idleTimeoutMs: number
  /** Nothing is left here. */
  readonly onEmpty: () => void
}

/** The connections of one key of a pool, and the dial that is under way. */
export class PoolKey {
  readonly #options: PoolKeyOptions
  readonly #connections = new Set<Pooled>()
  #dialing: Dialing | undefined

  constructor(options: PoolKeyOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#connections.size
  }

  /**
   * A connection that takes one more stream now, made with the SVID of this
   * serial number. Connections of an older SVID get no streams any more.
   */
  take(serialNumber: string, except: HboneConnection | undefined): HboneConnection | undefined {
    for (const pooled of this.#connections) {
      const { connection } = pooled
      if (!connection.usable) continue
      if (pooled.serialNumber !== serialNumber) void connection.drain()
      else if (connection !== except && connection.streams < this.#limit(connection)) {
        clearTimeout(pooled.idleTimer)
        return connection
      }
    }
    return undefined
  }

  /** Waits for a new connection: that of the dial that is under way, or of a new one. */
  dial(
    serialNumber: string,
    start: (signal: AbortSignal) => Promise<HboneConnection>,
    signal: Cancellation | undefined,
  ): Promise<HboneConnection> {
    this.#dialing ??= this.#startDial(serialNumber, start)
    const dialing = this.#dialing
    dialing.waiters++
    return orAborted(dialing.promise, signal).finally(() => {
      dialing.waiters--
      // Nobody wants it any more; who comes next must not inherit the abort.
      if (dialing.waiters === 0 && this.#dialing === dialing) {
        this.#dialing = undefined
        dialing.controller.abort()
      }
    })
  }

  /** Its connections without a stream. */
  idle(): IdleConnection[] {
    return Array.from(this.#connections).filter(
      ({ connection }) => connection.usable && connection.streams === 0,
    )
  }

  async drain(): Promise<void> {
    await Promise.all(Array.from(this.#connections, ({ connection }) => connection.drain()))
  }

  close(): void {
    for (const { connection } of this.#connections) connection.close()
  }

  dump(): PoolDump[] {
    const { sourceIdentity, destinationIdentities, address, port, sourceAddress } = this.#options.target
    return Array.from(this.#connections, ({ connection, serialNumber }) => ({
      sourceIdentity,
      destinationIdentities,
      address,
      port,
      sourceAddress,
      peerIdentity: connection.peerIdentity,
      serialNumber,
      state: connection.usable ? 'open' : 'draining',
      streams: connection.streams,
    }))
  }

  #limit(connection: HboneConnection): number {
    return Math.min(this.#options.maxStreams, connection.peerLimit)
  }

  #startDial(serialNumber: string, start: (signal: AbortSignal) => Promise<HboneConnection>): Dialing {
    const controller = new AbortController()
    const settled = (): void => {
      if (this.#dialing === dialing) this.#dialing = undefined
      this.#checkEmpty()
    }
    const promise = start(controller.signal).then(
      (connection) => {
        this.#add(connection, serialNumber)
        settled()
        return connection
      },
      (error: unknown) => {
        settled()
        throw error
      },
    )
    const dialing: Dialing = { promise, controller, waiters: 0 }
    return dialing
  }

  #add(connection: HboneConnection, serialNumber: string): void {
    const pooled: Pooled = { connection, serialNumber, idleSince: 0, idleTimer: undefined }
    this.#connections.add(pooled)
    const idle = (): void => {
      pooled.idleSince = performance.now()
      clearTimeout(pooled.idleTimer)
      pooled.idleTimer = setTimeout(() => {
        if (connection.streams === 0) void connection.drain()
      }, this.#options.idleTimeoutMs)
      pooled.idleTimer.unref()
    }
    idle()
    connection.onIdle = idle
    void connection.closed.then(() => {
      clearTimeout(pooled.idleTimer)
      this.#connections.delete(pooled)
      this.#checkEmpty()
    })
  }

  #checkEmpty(): void {
    if (this.#connections.size === 0 && this.#dialing === undefined) this.#options.onEmpty()
  }
}

interface Pooled extends IdleConnection {
  readonly serialNumber: string
  idleSince: number
  idleTimer: NodeJS.Timeout | undefined
}

interface Dialing {
  readonly promise: Promise<HboneConnection>
  readonly controller: AbortController
  waiters: number
}
