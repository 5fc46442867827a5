import { create } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import {
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import { type DeltaAnswer, DeltaSubscription, MAX_SUBSCRIBED_NAMES } from './delta-subscription.ts'
import type { XdsLog } from './log.ts'
import { checkNodeIdentity, type ProvenCaller, type ProxyNode, parseNode } from './node-rules.ts'
import type { ResourceCache } from './resource-cache.ts'
import { AUTHORIZATION_TYPE } from './type-urls.ts'

/** One type of one client, for `status`. Times are milliseconds since the epoch. */
export interface SubscriptionStatus {
  readonly typeUrl: string
  readonly wildcard: boolean
  readonly subscribedNames: number
  readonly responses: number
  readonly lastSentAt: number | undefined
  readonly acks: number
  readonly lastAckAt: number | undefined
  readonly nacks: number
  readonly lastNack: { readonly at: number; readonly reason: string } | undefined
  /** Whether the last response is still unanswered. */
  readonly awaitingAck: boolean
}

export interface SessionOptions {
  readonly cache: ResourceCache
  readonly caller: ProvenCaller
  readonly log: XdsLog
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly ackPatienceMs: number
}

/**
 * One stream's state, apart from the transport: requests go in, responses are
 * asked for. Each type has one unacknowledged change push at a time, so what
 * a client can make us hold is one response per type.
 */
export class DeltaSession {
  readonly #options: SessionOptions
  readonly #types = new Map<string, TypeState>()
  readonly #refusedTypes = new Set<string>()
  #node: ProxyNode | undefined
  #nonce = 0

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /** Undefined until the first request. */
  get node(): ProxyNode | undefined {
    return this.#node
  }

  /** Takes a request. Throws `ConnectError` when the client must be refused. */
  receive(request: DeltaDiscoveryRequest): void {
    if (this.#node === undefined) {
      const node = parseNode(request.node)
      checkNodeIdentity(node, this.#options.caller)
      this.#node = node
    }
    const { typeUrl } = request
    if (this.#options.cache.snapshot(typeUrl) === undefined) {
      this.#refuseType(typeUrl)
      return
    }
    const state = this.#types.get(typeUrl)
    if (state === undefined) {
      // Policies are few and must never be missed: there is no asking for some of them.
      const subscription = new DeltaSubscription(request, typeUrl === AUTHORIZATION_TYPE)
      if (subscription.isTooLarge) throw tooManyNames()
      this.#types.set(typeUrl, newTypeState(subscription))
      return
    }
    this.#continue(state, request)
  }

  /** The next response to send, counted as sent; undefined when there is none now. */
  next(): DeltaDiscoveryResponse | undefined {
    const now = this.#options.now()
    for (const [typeUrl, state] of this.#policiesFirst()) {
      const waiting =
        state.awaitingNonce !== '' && now - (state.lastSentAt ?? 0) < this.#options.ackPatienceMs
      if (waiting && !state.subscription.mustAnswer) continue
      const snapshot = this.#options.cache.snapshot(typeUrl)
      const answer = snapshot && state.subscription.answer(snapshot)
      if (answer !== undefined) return this.#respond(typeUrl, state, answer, now)
    }
    return undefined
  }

  /** When `next` may have something even if nothing happens; milliseconds, undefined for never. */
  nextLookMs(): number | undefined {
    const now = this.#options.now()
    const waits = [...this.#types.values()]
      .filter(({ awaitingNonce }) => awaitingNonce !== '')
      .map(({ lastSentAt }) => (lastSentAt ?? now) + this.#options.ackPatienceMs - now)
      .filter((ms) => ms > 0)
    return waits.length === 0 ? undefined : Math.min(...waits)
  }

  status(): readonly SubscriptionStatus[] {
    return [...this.#types].map(([typeUrl, state]) => ({
      typeUrl,
      wildcard: state.subscription.wildcard,
      subscribedNames: state.subscription.subscribedNames,
      responses: state.responses,
      lastSentAt: state.lastSentAt,
      acks: state.acks,
      lastAckAt: state.lastAckAt,
      nacks: state.nacks,
      lastNack: state.lastNack,
      awaitingAck: state.awaitingNonce !== '',
    }))
  }

  #continue(state: TypeState, request: DeltaDiscoveryRequest): void {
    const { responseNonce, typeUrl } = request
    if (responseNonce !== '') {
      if (responseNonce !== state.lastNonce) {
        this.#options.log.debug({ node: this.#node?.id, typeUrl, responseNonce }, 'stale xds nonce ignored')
        return
      }
      // Said twice, it is no news: a client could fill the log with one refusal.
      if (state.awaitingNonce !== '') this.#acknowledge(state, request)
    }
    if (!state.subscription.update(request.resourceNamesSubscribe, request.resourceNamesUnsubscribe)) {
      throw tooManyNames()
    }
  }

  /** A workload that names a policy which has not come yet is served without it, however short the time. */
  #policiesFirst(): readonly (readonly [string, TypeState])[] {
    const policies = this.#types.get(AUTHORIZATION_TYPE)
    const others = [...this.#types].filter(([typeUrl]) => typeUrl !== AUTHORIZATION_TYPE)
    return policies === undefined ? others : [[AUTHORIZATION_TYPE, policies], ...others]
  }

  /** Told once for each type, and of a few types only: the client chooses the names. */
  #refuseType(typeUrl: string): void {
    const type = typeUrl.slice(0, MAX_TYPE_URL_CHARS)
    if (this.#refusedTypes.has(type) || this.#refusedTypes.size >= MAX_REFUSED_TYPES) return
    this.#refusedTypes.add(type)
    const fields = { node: this.#node?.id, typeUrl: type }
    this.#options.log.warn(fields, 'xds request for a type that is not served')
  }

  #acknowledge(state: TypeState, { typeUrl, errorDetail }: DeltaDiscoveryRequest): void {
    state.awaitingNonce = ''
    const at = this.#options.now()
    if (errorDetail === undefined) {
      state.acks++
      state.lastAckAt = at
      this.#options.log.debug({ node: this.#node?.id, typeUrl, nonce: state.lastNonce }, 'xds ACK')
      return
    }
    const reason = errorDetail.message.slice(0, MAX_REASON_CHARS)
    state.nacks++
    state.lastNack = { at, reason }
    this.#options.log.warn({ node: this.#node?.id, typeUrl, nonce: state.lastNonce, reason }, 'xds NACK')
  }

  #respond(typeUrl: string, state: TypeState, answer: DeltaAnswer, now: number): DeltaDiscoveryResponse {
    const nonce = String(++this.#nonce)
    state.lastNonce = nonce
    state.awaitingNonce = nonce
    state.lastSentAt = now
    state.responses++
    const { resources, removed, withAliases } = answer
    this.#options.log.debug(
      { node: this.#node?.id, typeUrl, nonce, resources: resources.length, removed: removed.length },
      'xds push',
    )
    return create(DeltaDiscoveryResponseSchema, {
      typeUrl,
      nonce,
      resources: resources.map(({ name, version, value, aliases }) => ({
        name,
        version,
        aliases: withAliases ? [...aliases] : [],
        resource: { typeUrl, value },
      })),
      removedResources: [...removed],
    })
  }
}

/** Of a NACK's reason that is kept; a client writes it. Characters. */
const MAX_REASON_CHARS = 4096
/** Types that a client asks for in vain and that the log names; Envoys ask for five. Entries. */
const MAX_REFUSED_TYPES = 16
/** Of a type's name in the log. Characters. */
const MAX_TYPE_URL_CHARS = 256

function tooManyNames(): ConnectError {
  const message = `more than ${MAX_SUBSCRIBED_NAMES} names subscribed: subscribe to all (wildcard) instead`
  return new ConnectError(message, Code.ResourceExhausted)
}

interface TypeState {
  readonly subscription: DeltaSubscription
  lastNonce: string
  /** Of the response that the client has not answered yet; empty for none. */
  awaitingNonce: string
  responses: number
  lastSentAt: number | undefined
  acks: number
  lastAckAt: number | undefined
  nacks: number
  lastNack: { readonly at: number; readonly reason: string } | undefined
}

function newTypeState(subscription: DeltaSubscription): TypeState {
  return {
    subscription,
    lastNonce: '',
    awaitingNonce: '',
    responses: 0,
    lastSentAt: undefined,
    acks: 0,
    lastAckAt: undefined,
    nacks: 0,
    lastNack: undefined,
  }
}
