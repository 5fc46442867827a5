import { setTimeout as sleepFor } from 'node:timers/promises'
import { create, type JsonObject } from '@bufbuild/protobuf'
import type { Empty } from '@bufbuild/protobuf/wkt'
import { type CallOptions, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect'
import {
  AggregatedDiscoveryService,
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type Node,
  NodeSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import { type ControlPlaneCredentials, controlPlaneHeaders } from '../identity/control-plane-headers.ts'
import { MIN_BACKOFF_MS, reconnectAfter, type TerminationReason } from './backoff.ts'
import { DELTA_RESOURCES, type DiscoveryResponse, takeApart } from './discovery-response.ts'
import { XdsError } from './errors.ts'
import type { ResourceHandler } from './handler.ts'
import { silentLog, type XdsLog } from './log.ts'
import { TypeState, type TypeStatus } from './type-state.ts'
import { Wakeup } from './wakeup.ts'

/** What the client says of itself (wire/ztunnel 10.2). */
export interface AdsNode {
  /** `ztunnel~<ip>~<pod>.<namespace>~<namespace>.svc.cluster.local` */
  readonly id: string
  readonly metadata?: JsonObject
}

/** Told of what Istio's ztunnel counts (`istio_xds_…`). Must not throw. */
export interface AdsMetrics {
  connectionTerminated?(reason: TerminationReason): void
  /** `bytes` is the sum of the resources' bodies. */
  message?(typeUrl: string, bytes: number): void
}

export interface AdsClientOptions {
  /** To the control plane; must accept messages of `MAX_MESSAGE_BYTES`. Stays the caller's to close. */
  readonly transport: Transport
  /** Read anew for every stream. */
  readonly credentials?: ControlPlaneCredentials
  readonly node: AdsNode
  /** Subscribed in this order. */
  readonly types: readonly ResourceHandler[]
  readonly log?: XdsLog
  readonly metrics?: AdsMetrics
  /** Waits between streams; rejects when aborted. Default: real time. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>
  /** How long a `demand` waits, milliseconds. Default 5,000. Istio's ztunnel waits for ever. */
  readonly demandTimeoutMs?: number
}

/** Where the client is; `since` in milliseconds since the epoch. */
export type AdsState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting'; readonly since: number }
  | { readonly kind: 'streaming'; readonly since: number }
  | { readonly kind: 'waiting'; readonly since: number; readonly delayMs: number; readonly lastError: string }
  | { readonly kind: 'stopped' }

export interface AdsStatus {
  readonly state: AdsState
  readonly streams: number
  readonly types: readonly TypeStatus[]
}

/** Largest message to accept, bytes: a control plane sends the whole mesh in one. Istio's ztunnel's limit. */
export const MAX_MESSAGE_BYTES = 200 * 1024 * 1024

/**
 * Keeps a mesh up to date from a control plane by delta ADS (xDS v3), as
 * Istio's ztunnel does. What was received stays in force while the control
 * plane is away; after a reconnect only the differences are sent.
 */
export class AdsClient {
  readonly #options: AdsClientOptions
  readonly #client: DeltaClient
  readonly #node: Node
  readonly #types: ReadonlyMap<string, TypeState>
  readonly #log: XdsLog
  /** Of the present stream; one that has ended must not take its successor's wake-ups. */
  #wakeup = new Wakeup()
  /** Acknowledgements to send; at most `MAX_UNSENT_ANSWERS`, and the stream's first requests. */
  #outbox: DeltaDiscoveryRequest[] = []
  /** Woken when one of them was taken to be sent. */
  #sent = new Wakeup()
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined
  #state: AdsState = { kind: 'idle' }
  #streams = 0

  constructor(options: AdsClientOptions) {
    this.#options = options
    this.#client = deltaClient(options.transport)
    this.#node = create(NodeSchema, { id: options.node.id, metadata: options.node.metadata ?? {} })
    this.#types = new Map(options.types.map((handler) => [handler.typeUrl, new TypeState(handler)]))
    this.#log = options.log ?? silentLog
  }

  /** Connects, and stays connected until `stop`. May be called once. */
  start(): void {
    if (this.#state.kind !== 'idle') throw new XdsError('client-state', `cannot start: ${this.#state.kind}`)
    this.#running = this.#run()
  }

  /** Ends the stream and refuses who waits in `demand`. What was received stays in force. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const { names } of this.#types.values()) names.close()
    await this.#running
    this.#state = { kind: 'stopped' }
  }

  /** Resolves once a type's first response is in force: what readiness waits for. At once for an on-demand type. */
  async synced(typeUrl: string): Promise<void> {
    const type = this.#type(typeUrl)
    if (!type.onDemand) await type.synced
  }

  /**
   * Makes sure that a name (uid, `network/address` or `namespace/hostname`)
   * has been asked for; resolves when what the control plane has of it is in
   * force, be that nothing. Rejects with `XdsError` when no answer comes in
   * time. At once for a type that is not on-demand.
   */
  async demand(typeUrl: string, name: string): Promise<void> {
    const type = this.#type(typeUrl)
    if (type.isKnown(name)) return
    if (this.#stopping.signal.aborted) {
      throw new XdsError('demand-refused', `${name}: the xDS client was stopped`)
    }
    const answered = type.names.ask(name, this.#options.demandTimeoutMs ?? DEMAND_TIMEOUT_MS)
    this.#wakeup.wake()
    await answered
  }

  /** For the admin interface. */
  status(): AdsStatus {
    const types = [...this.#types.values()].map((type) => type.status())
    return { state: this.#state, streams: this.#streams, types }
  }

  #type(typeUrl: string): TypeState {
    const type = this.#types.get(typeUrl)
    if (type === undefined) throw new XdsError('client-state', `type ${typeUrl} is not subscribed`)
    return type
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    const sleep = this.#options.sleep ?? ((ms) => sleepFor(ms, undefined, { signal }))
    let backoffMs = MIN_BACKOFF_MS / 2
    while (!signal.aborted) {
      const stream: StreamProgress = { opened: false, answered: false }
      const error = await this.#stream(stream).then(
        () => undefined,
        (thrown: unknown) => thrown ?? new Error('unknown error'),
      )
      if (signal.aborted) return
      const next = reconnectAfter({ error, ...stream }, backoffMs)
      backoffMs = next.backoffMs
      this.#terminated(next.reason, error, next.delayMs)
      await sleep(next.delayMs, signal).catch(() => {})
    }
  }

  async #stream(stream: StreamProgress): Promise<void> {
    this.#state = { kind: 'connecting', since: Date.now() }
    this.#outbox = [...this.#types.values()].map((type) => type.initialRequest(this.#node))
    this.#wakeup = new Wakeup()
    this.#sent = new Wakeup()
    const ending = new AbortController()
    const signal = AbortSignal.any([this.#stopping.signal, ending.signal])
    try {
      const headers = await controlPlaneHeaders(this.#options.credentials ?? {})
      const onHeader = () => this.#opened(stream)
      const responses = this.#client(this.#requests(signal), {
        headers,
        signal,
        onHeader,
      })
      for await (const response of responses) {
        stream.answered = true
        await this.#receive(takeApart(response))
        await this.#roomForAnswer(signal)
      }
    } finally {
      ending.abort()
    }
  }

  /** Everything to be sent, in order: what is in the outbox, then demands as they come. */
  async *#requests(signal: AbortSignal): AsyncGenerator<DeltaDiscoveryRequest> {
    const wakeup = this.#wakeup
    while (!signal.aborted) {
      const request = this.#outbox.shift() ?? this.#demandRequest()
      this.#sent.wake()
      if (request !== undefined) yield request
      else await wakeup.wait(signal)
    }
  }

  /** All names asked for meanwhile in one request. */
  #demandRequest(): DeltaDiscoveryRequest | undefined {
    for (const [typeUrl, { names }] of this.#types) {
      const changes = names.takeChanges()
      if (changes === undefined) continue
      return create(DeltaDiscoveryRequestSchema, {
        typeUrl,
        resourceNamesSubscribe: [...changes.subscribe],
        resourceNamesUnsubscribe: [...changes.unsubscribe],
      })
    }
    return undefined
  }

  async #receive(response: DiscoveryResponse): Promise<void> {
    const { typeUrl, nonce, resources, removedResources: removed } = response
    const type = this.#types.get(typeUrl)
    const fields = { typeUrl, nonce, resources: resources.length, removed: removed.length }
    if (type === undefined) {
      this.#options.metrics?.message?.(typeUrl, 0)
      this.#log.error(fields, 'xds response of a type that was not asked for')
      this.#send(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce }))
      return
    }
    const before = type.receivedBytes
    const answer = await type.receive(response)
    this.#options.metrics?.message?.(typeUrl, type.receivedBytes - before)
    if (answer.errorDetail === undefined) this.#log.debug(fields, 'xds response in force')
    else this.#log.warn({ ...fields, reason: answer.errorDetail.message }, 'xds response refused in part')
    this.#send(answer)
  }

  #send(request: DeltaDiscoveryRequest): void {
    this.#outbox.push(request)
    this.#wakeup.wake()
  }

  /** A server that does not read our answers is not read from either; given up when that lasts. */
  async #roomForAnswer(signal: AbortSignal): Promise<void> {
    const deadline = performance.now() + ANSWER_PATIENCE_MS
    while (this.#outbox.length >= MAX_UNSENT_ANSWERS && !signal.aborted) {
      const left = deadline - performance.now()
      if (left <= 0) {
        const message = `the control plane has not read ${MAX_UNSENT_ANSWERS} acknowledgements for ${ANSWER_PATIENCE_MS} ms`
        throw new ConnectError(message, Code.ResourceExhausted)
      }
      await this.#sent.wait(signal, left)
    }
  }

  #opened(stream: StreamProgress): void {
    stream.opened = true
    this.#streams++
    this.#state = { kind: 'streaming', since: Date.now() }
    this.#log.info({ streams: this.#streams }, 'xds stream established')
  }

  #terminated(reason: TerminationReason, error: unknown, delayMs: number): void {
    this.#options.metrics?.connectionTerminated?.(reason)
    const lastError = error instanceof Error ? error.message : error === undefined ? '' : String(error)
    this.#state = { kind: 'waiting', since: Date.now(), delayMs, lastError }
    const fields = { reason, delayMs, error: lastError }
    if (reason === 'Complete' || reason === 'Reconnect')
      this.#log.info(fields, 'xds stream ended, reconnecting')
    else this.#log.warn(fields, 'xds stream failed, reconnecting')
  }
}

type DeltaClient = (
  requests: AsyncIterable<DeltaDiscoveryRequest>,
  options: CallOptions,
) => AsyncIterable<Empty>

function deltaClient(transport: Transport): DeltaClient {
  const methods = { deltaAggregatedResources: DELTA_RESOURCES }
  const service = { ...AggregatedDiscoveryService, method: methods, methods: [DELTA_RESOURCES] }
  const client = createClient(service, transport)
  return (requests, options) => client.deltaAggregatedResources(requests, options)
}

/** How far a stream came; see `StreamOutcome`. */
interface StreamProgress {
  opened: boolean
  answered: boolean
}

/** Responses may come faster than their acknowledgements go out; istiod waits for each. Entries. */
const MAX_UNSENT_ANSWERS = 64
/** Longer than a busy control plane needs to read a few bytes. Milliseconds. */
const ANSWER_PATIENCE_MS = 5_000
/** A connection waits for it: as long as for its own workload. ztunnel waits without end. */
const DEMAND_TIMEOUT_MS = 5_000
