import {
  formatSpiffeId,
  type PackedSvid,
  packSvid,
  type SpiffeId,
  type SvidManager,
} from '../../identity/index.ts'

/** Who is told of certificates. */
export interface SvidReceiver {
  svid(packed: PackedSvid): void
  forget(id: SpiffeId): void
}

interface Subscription {
  readonly id: SpiffeId
  readonly receivers: Set<SvidReceiver>
  readonly stop: () => void
}

/** Gives certificates to other threads: on demand the first time, from then on each new one. */
export class SvidFeed {
  readonly #svids: SvidManager
  readonly #subscriptions = new Map<string, Subscription>()

  constructor(svids: SvidManager) {
    this.#svids = svids
  }

  /** As `SvidManager.get`, with the private key: for the thread that asks and nobody else. */
  async get(receiver: SvidReceiver, id: SpiffeId): Promise<PackedSvid> {
    // Before it is asked for: a renewal that comes at the same time must not be missed.
    this.#subscribe(id).receivers.add(receiver)
    return packSvid(await this.#svids.get(id))
  }

  /** No workload here has the identity any more. */
  forget(id: SpiffeId): void {
    const name = formatSpiffeId(id)
    const subscription = this.#subscriptions.get(name)
    if (subscription === undefined) return
    subscription.stop()
    this.#subscriptions.delete(name)
    for (const receiver of subscription.receivers) receiver.forget(id)
  }

  /** The receiver has ended. */
  remove(receiver: SvidReceiver): void {
    for (const { receivers } of this.#subscriptions.values()) receivers.delete(receiver)
  }

  close(): void {
    for (const { stop } of this.#subscriptions.values()) stop()
    this.#subscriptions.clear()
  }

  #subscribe(id: SpiffeId): Subscription {
    const name = formatSpiffeId(id)
    const known = this.#subscriptions.get(name)
    if (known !== undefined) return known
    const receivers = new Set<SvidReceiver>()
    const stop = this.#svids.onRotate(id, (svid) => {
      if (receivers.size === 0) return
      const packed = packSvid(svid)
      for (const receiver of receivers) receiver.svid(packed)
    })
    const subscription = { id, receivers, stop }
    this.#subscriptions.set(name, subscription)
    return subscription
  }
}
