import type { Socket } from 'node:net'
import type { Svid } from '../identity/svid.ts'
import type { Cancellation } from './cancellation.ts'
import { dialHbone } from './client.ts'
import type { ConnectRequest, HboneConnection, HboneStream } from './connection.ts'
import { orAborted } from './deadline.ts'
import { errorText, HboneError } from './errors.ts'
import { type PoolDump, PoolKey } from './pool-key.ts'
import { type PoolTarget, poolKeyName } from './pool-target.ts'
import type { HboneSettings } from './settings.ts'

export interface HbonePoolOptions {
  /** Opens the TCP connection, in the right network namespace. Need not be connected yet. */
  readonly connect: (target: PoolTarget) => Socket
  readonly settings?: HboneSettings | undefined
  /** POOL_MAX_STREAMS_PER_CONNECTION. Default 100. */
  readonly maxStreamsPerConnection?: number | undefined
  /** POOL_UNUSED_RELEASE_TIMEOUT, milliseconds without a stream. Default 5 minutes. */
  readonly idleTimeoutMs?: number | undefined
  /** Above this many connections, those without streams are closed, the longest unused first. Default 500. */
  readonly maxConnections?: number | undefined
}

/** As ztunnel. Envoy allows 100 streams on a connection, ztunnel 200. */
export const MAX_STREAMS_PER_CONNECTION = 100
/** As ztunnel. */
export const POOL_IDLE_TIMEOUT_MS = 300_000
/** As ztunnel: a client that scans a large mesh must not hold a connection to each of its pods. */
export const MAX_POOLED_CONNECTIONS = 500

/**
 * Shares HBONE connections among the tunnels of the same key: source identity,
 * accepted identities in order, destination address and port, client address.
 *
 * One dial per key is under way at a time; all that wait for it share its
 * success or failure. A connection takes streams up to the limit of both sides,
 * and again when some have ended. A CONNECT that the peer has certainly not
 * seen is sent once more, on a new connection.
 */
export class HbonePool {
  readonly #options: HbonePoolOptions
  readonly #settings: HboneSettings
  readonly #keys = new Map<string, PoolKey>()
  readonly #closing = new AbortController()

  constructor(options: HbonePoolOptions) {
    this.#options = options
    this.#settings = options.settings ?? {}
  }

  /** Opens a tunnel. Rejects as `dialHbone` and `HboneConnection.request` do, and with `pool-draining`. */
  async open(target: PoolTarget, request: ConnectRequest, signal?: Cancellation): Promise<HboneStream> {
    const name = poolKeyName(target)
    let refusedBy: HboneConnection | undefined
    let hungUp = false
    for (;;) {
      const current = target.svid()
      // It is there already in nearly every case: nothing is to be waited for.
      const svid = current instanceof Promise ? await orAborted(current, signal) : current
      // No await from here to the request: the slot could go to somebody else.
      if (this.#closing.signal.aborted) throw poolDraining()
      const key = this.#key(name, target)
      const connection = key.take(svid.serialNumber, refusedBy)
      if (connection === undefined) {
        const usable = await this.#dialled(key, target, svid, signal)
        // Once more for a peer that drained meanwhile: another process has its port by now.
        // Only once: one that hangs up on every connection must not keep us dialling.
        if (!usable && hungUp) throw takesNoStream()
        hungUp ||= !usable
        continue
      }
      try {
        return await connection.request(request, signal)
      } catch (error) {
        if (refusedBy !== undefined || !(error instanceof HboneError && error.unsent)) throw error
        refusedBy = connection
      }
    }
  }

  /** No new tunnels; resolves when the last one has ended. Their connections close as they become empty. */
  async drain(): Promise<void> {
    this.#closing.abort(poolDraining())
    await Promise.all(Array.from(this.#keys.values(), (key) => key.drain()))
  }

  /** Ends everything at once. */
  close(): void {
    this.#closing.abort(poolDraining())
    for (const key of this.#keys.values()) key.close()
  }

  /** What the pool holds, for the admin port. */
  dump(): PoolDump[] {
    return Array.from(this.#keys.values()).flatMap((key) => key.dump())
  }

  #key(name: string, target: PoolTarget): PoolKey {
    let key = this.#keys.get(name)
    if (key === undefined) {
      key = new PoolKey({
        target,
        maxStreams: this.#options.maxStreamsPerConnection ?? MAX_STREAMS_PER_CONNECTION,
        idleTimeoutMs: this.#options.idleTimeoutMs ?? POOL_IDLE_TIMEOUT_MS,
        onEmpty: () => this.#keys.delete(name),
      })
      this.#keys.set(name, key)
    }
    return key
  }

  /** Whether the new connection may be used: not when the peer has said GOAWAY already. */
  async #dialled(
    key: PoolKey,
    target: PoolTarget,
    svid: Svid,
    signal: Cancellation | undefined,
  ): Promise<boolean> {
    const connection = await key.dial(
      svid.serialNumber,
      (dialSignal) => this.#dial(target, svid, dialSignal),
      signal,
    )
    this.#evict(connection)
    if (connection.peerLimit < 1) throw takesNoStream()
    return connection.usable
  }

  #dial(target: PoolTarget, svid: Svid, signal: AbortSignal): Promise<HboneConnection> {
    let socket: Socket
    try {
      socket = this.#options.connect(target)
    } catch (error) {
      return Promise.reject(
        new HboneError('connect-failed', `io error: ${errorText(error)}`, { cause: error }),
      )
    }
    return dialHbone({
      socket,
      svid,
      expectedIdentities: target.destinationIdentities,
      settings: this.#settings,
      signal: AbortSignal.any([signal, this.#closing.signal]),
    })
  }

  /** Closes the longest unused connections above the limit. `fresh` has no stream yet, but somebody waits for it. */
  #evict(fresh: HboneConnection): void {
    const keys = Array.from(this.#keys.values())
    const size = keys.reduce((sum, key) => sum + key.size, 0)
    const excess = size - (this.#options.maxConnections ?? MAX_POOLED_CONNECTIONS)
    if (excess <= 0) return
    const idle = keys.flatMap((key) => key.idle()).filter(({ connection }) => connection !== fresh)
    idle.sort((a, b) => a.idleSince - b.idleSince)
    for (const { connection } of idle.slice(0, excess)) void connection.drain()
  }
}

function takesNoStream(): HboneError {
  return new HboneError('http2', 'h2 failed: the peer takes no stream on a connection that it just accepted')
}

function poolDraining(): HboneError {
  return new HboneError('pool-draining', 'pool draining')
}
