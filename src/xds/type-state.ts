import { setImmediate as nextTurn } from 'node:timers/promises'
import { create } from '@bufbuild/protobuf'
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type Node,
  type Resource,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { DiscoveryResponse } from './discovery-response.ts'
import { XdsError } from './errors.ts'
import type { ResourceBatch, ResourceHandler } from './handler.ts'
import { OnDemandNames } from './on-demand.ts'

/** One type of an ADS client, for its state dump. */
export interface TypeStatus {
  readonly typeUrl: string
  readonly synced: boolean
  readonly resources: number
  /** Names and reasons of the resources that are refused at present; the first ones. */
  readonly rejected: readonly { readonly name: string; readonly reason: string }[]
  readonly acks: number
  readonly nacks: number
  readonly lastNonce: string
  /** Asked for and not answered. */
  readonly pendingDemands: readonly string[]
}

/** Resources decoded before other work gets a turn: about 5 ms worth. */
const SLICE = 512
/** Length of a NACK's text; a control plane logs it. Characters. */
const MAX_NACK_CHARS = 8192
/** Rejections listed in the state dump. Entries. */
const MAX_REJECTIONS_SHOWN = 100

/**
 * What an ADS client holds of one type. It outlives streams: a lost control
 * plane takes nothing away.
 */
export class TypeState {
  readonly handler: ResourceHandler
  readonly names = new OnDemandNames()
  /** Resolves after the first response that counts as received. */
  readonly synced: Promise<void>
  #setSynced: () => void = () => {}
  #isSynced = false
  /** Name to version of everything that is in force. */
  readonly #versions = new Map<string, string>()
  readonly #rejected = new Map<string, string>()
  #acks = 0
  #nacks = 0
  #lastNonce = ''
  #receivedBytes = 0

  constructor(handler: ResourceHandler) {
    this.handler = handler
    this.synced = new Promise((resolve) => {
      this.#setSynced = resolve
    })
  }

  get onDemand(): boolean {
    return this.handler.onDemand ?? false
  }

  /** Bodies of all resources so far, valid or not. */
  get receivedBytes(): number {
    return this.#receivedBytes
  }

  get isSynced(): boolean {
    return this.#isSynced
  }

  /** Whether a lookup of this name has all that the control plane would answer. */
  isKnown(name: string): boolean {
    return !this.onDemand || this.#versions.has(name) || this.names.isAbsent(name)
  }

  /** The first request of a stream. */
  initialRequest(node: Node): DeltaDiscoveryRequest {
    const initialResourceVersions: Record<string, string> = Object.fromEntries(this.#versions)
    this.names.restart()
    for (const name of this.names.outstanding()) initialResourceVersions[name] ??= ''
    const nothing = this.onDemand ? ['*'] : []
    return create(DeltaDiscoveryRequestSchema, {
      node,
      typeUrl: this.handler.typeUrl,
      resourceNamesSubscribe: nothing,
      resourceNamesUnsubscribe: nothing,
      initialResourceVersions,
    })
  }

  /** Puts a response in force as far as it is valid, and returns its ACK or NACK. */
  async receive(response: DiscoveryResponse): Promise<DeltaDiscoveryRequest> {
    const batch = this.handler.batch()
    const { held, rejected } = await this.#decode(response.resources, batch)
    for (const name of response.removedResources) batch.remove(name)
    batch.commit()
    this.#record(held, rejected, response.removedResources)
    this.#lastNonce = response.nonce
    const acknowledgement = { typeUrl: this.handler.typeUrl, responseNonce: response.nonce }
    if (rejected.size === 0) {
      this.#acks++
      this.#markSynced()
      return create(DeltaDiscoveryRequestSchema, acknowledgement)
    }
    this.#nacks++
    if (this.handler.syncedDespiteRejections) this.#markSynced()
    const message = nackMessage(rejected)
    return create(DeltaDiscoveryRequestSchema, { ...acknowledgement, errorDetail: { message } })
  }

  status(): TypeStatus {
    const rejected = [...this.#rejected].slice(0, MAX_REJECTIONS_SHOWN)
    return {
      typeUrl: this.handler.typeUrl,
      synced: this.#isSynced,
      resources: this.#versions.size,
      rejected: rejected.map(([name, reason]) => ({ name, reason })),
      acks: this.#acks,
      nacks: this.#nacks,
      lastNonce: this.#lastNonce,
      pendingDemands: [...this.names.pending()].slice(0, MAX_REJECTIONS_SHOWN),
    }
  }

  async #decode(resources: Iterable<Resource>, batch: ResourceBatch): Promise<Decoded> {
    const held: Held[] = []
    const rejected = new Map<string, string>()
    let index = 0
    for (const resource of resources) {
      // A mesh of 100,000 workloads takes a second to decode: connections must go on meanwhile.
      if (index > 0 && index % SLICE === 0) await nextTurn()
      index++
      const { name, version, aliases } = resource
      this.#receivedBytes += resource.resource?.value.length ?? 0
      held.push(aliases.length === 0 ? { name, version } : { name, version, aliases })
      try {
        batch.update(name, this.#bodyOf(resource))
      } catch (error) {
        if (!(error instanceof XdsError)) throw error
        rejected.set(name, error.message)
      }
    }
    return { held, rejected }
  }

  #bodyOf({ resource }: Resource): Uint8Array {
    if (resource === undefined) throw new XdsError('invalid-resource', 'missing resource body')
    const { typeUrl } = this.handler
    if (resource.typeUrl === typeUrl) return resource.value
    throw new XdsError('invalid-resource', `expected a body of type ${typeUrl}, got "${resource.typeUrl}"`)
  }

  #record(held: readonly Held[], rejected: ReadonlyMap<string, string>, removed: readonly string[]): void {
    for (const { name, version, aliases } of held) {
      const reason = rejected.get(name)
      if (reason === undefined) {
        this.#versions.set(name, version)
        this.#rejected.delete(name)
      } else {
        // Not said to be held, so that the server sends it again. An older one
        // that stays in force is named without its version: were it not named,
        // nobody could tell us that it is gone.
        if (this.#versions.has(name)) this.#versions.set(name, '')
        this.#rejected.set(name, reason)
      }
      this.names.found(name)
      for (const alias of aliases ?? []) this.names.found(alias)
    }
    for (const name of removed) {
      this.#versions.delete(name)
      this.#rejected.delete(name)
      this.names.missing(name)
    }
  }

  #markSynced(): void {
    this.#isSynced = true
    this.#setSynced()
  }
}

/** What is kept of a resource until its response is in force. */
interface Held extends Pick<Resource, 'name' | 'version'> {
  readonly aliases?: readonly string[]
}

interface Decoded {
  readonly held: readonly Held[]
  /** Name → reason. */
  readonly rejected: ReadonlyMap<string, string>
}

function nackMessage(rejected: ReadonlyMap<string, string>): string {
  const message = [...rejected].map(([name, reason]) => `${name}: ${reason}`).join('; ')
  if (message.length <= MAX_NACK_CHARS) return message
  return `${message.slice(0, MAX_NACK_CHARS)}… (${rejected.size} resources in all)`
}
