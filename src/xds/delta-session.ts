import { create } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import {
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import {
  type ClientType,
  isUpToDate,
  isWholeMesh,
  newClientType,
  type SubscriptionStatus,
  statusOf,
} from './client-type.ts'
import type { DeltaServerMetrics } from './delta-metrics.ts'
import { type DeltaAnswer, DeltaSubscription, MAX_SUBSCRIBED_NAMES } from './delta-subscription.ts'
import { encodeResource, RESOURCES_FIELD } from './encode-resources.ts'
import type { XdsLog } from './log.ts'
import { checkNodeIdentity, type ProvenCaller, type ProxyNode, parseNode } from './node-rules.ts'
import type { ResourceCache } from './resource-cache.ts'
import type { ResourceTable } from './resource-table.ts'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, ROUTE_TYPE, WAYPOINT_POLICY_TYPE } from './type-urls.ts'

export interface SessionOptions {
  readonly cache: ResourceCache
  readonly caller: ProvenCaller
  readonly log: XdsLog
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly ackPatienceMs: number
  readonly metrics?: DeltaServerMetrics
}

/**
 * One stream's state, apart from the transport: requests go in, responses are
 * asked for. Each type has one unacknowledged change push at a time, so what
 * a client can make us hold is one response per type.
 */
export class DeltaSession {
  readonly #options: SessionOptions
  readonly #types = new Map<string, ClientType>()
  readonly #refusedTypes = new Set<string>()
  #node: ProxyNode | undefined
  #nonce = 0
  /** When the first type was subscribed. */
  #startedAt: number | undefined
  /** Whether the client holds something from an earlier stream. */
  #resumes = false

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
    const table = this.#options.cache.table(typeUrl)
    if (table === undefined) {
      this.#refuseType(typeUrl)
      return
    }
    const state = this.#types.get(typeUrl)
    if (state === undefined) {
      // Policies are few and must never be missed: there is no asking for some of them.
      const isPolicies = POLICY_TYPES.includes(typeUrl)
      const subscription = new DeltaSubscription(request, {
        alwaysWildcard: isPolicies,
        withdrawLast: isPolicies,
      })
      if (subscription.isTooLarge) throw tooManyNames()
      this.#types.set(typeUrl, newClientType(typeUrl, table, subscription))
      this.#startedAt ??= this.#options.now()
      if (Object.keys(request.initialResourceVersions).length > 0) this.#resumes = true
      return
    }
    this.#continue(state, table, request)
  }

  /**
   * The next response to send, counted as sent; undefined when there is none
   * now. Throws `ConnectError` when the client must open another stream.
   *
   * Policies come first, what names them after, and what is no longer named
   * last. In another order a workload would be served, however briefly,
   * without a policy that it had before or has after the change. Routes come
   * after the services that they lead to.
   */
  next(): DeltaDiscoveryResponse | undefined {
    if (this.#expectsMoreMs() > 0) return undefined
    const policies = POLICY_TYPES.flatMap((typeUrl) => this.#types.get(typeUrl) ?? [])
    const others = [...this.#types.values()]
      .filter((state) => !policies.includes(state))
      .sort((a, b) => Number(a.typeUrl === ROUTE_TYPE) - Number(b.typeUrl === ROUTE_TYPE))
    const isAsked = others.some(({ subscription }) => subscription.mustAnswer)
    for (const state of policies) {
      // A client that waits for an answer gets it, and so what goes before it.
      const response = this.#answer(state, isAsked)
      if (response !== undefined) return response
    }
    if (policies.some(isBehind)) return undefined
    for (const state of others) {
      const response = this.#answer(state, false)
      if (response !== undefined) return response
    }
    if (others.some(isBehind)) return undefined
    const last = policies.find((state) => state.subscription.withholds && this.#mayPush(state))
    return last && this.#respond(last, last.subscription.withdraw(last.table), false)
  }

  /** When `next` may have something even if nothing happens; milliseconds, undefined for never. */
  nextLookMs(): number | undefined {
    const now = this.#options.now()
    const waits = [...this.#types.values()]
      .filter(({ awaitingNonce }) => awaitingNonce !== '')
      .map(({ lastSentAt }) => (lastSentAt ?? now) + this.#options.ackPatienceMs - now)
    const ahead = [...waits, this.#expectsMoreMs()].filter((ms) => ms > 0)
    return ahead.length === 0 ? undefined : Math.min(...ahead)
  }

  /** Whether the client has been sent all that it should have. */
  get upToDate(): boolean {
    return [...this.#types.values()].every(isUpToDate)
  }

  /** Whether the next response may be a whole mesh, of which not too many should be on their way at once. */
  get wantsWholeMesh(): boolean {
    return [...this.#types.values()].some(isWholeMesh)
  }

  status(): readonly SubscriptionStatus[] {
    return [...this.#types.values()].map(statusOf)
  }

  #continue(state: ClientType, table: ResourceTable, request: DeltaDiscoveryRequest): void {
    const { responseNonce, typeUrl } = request
    if (responseNonce !== '') {
      if (responseNonce !== state.lastNonce) {
        this.#options.log.debug({ node: this.#node?.id, typeUrl, responseNonce }, 'stale xds nonce ignored')
        return
      }
      // Said twice, it is no news: a client could fill the log with one refusal.
      if (state.awaitingNonce !== '') this.#acknowledge(state, request)
    }
    const { resourceNamesSubscribe, resourceNamesUnsubscribe } = request
    if (!state.subscription.update(table, resourceNamesSubscribe, resourceNamesUnsubscribe))
      throw tooManyNames()
  }

  /**
   * How long to wait for the other type of a proxy that comes back: it serves
   * connections already, and would put in force what comes first.
   */
  #expectsMoreMs(): number {
    const isComplete = PROXY_TYPES.get(this.#node?.type ?? '')?.every((typeUrl) => this.#types.has(typeUrl))
    if (!this.#resumes || isComplete !== false) return 0
    return Math.max(0, (this.#startedAt ?? 0) + OTHER_TYPE_PATIENCE_MS - this.#options.now())
  }

  #mayPush({ awaitingNonce, lastSentAt }: ClientType): boolean {
    return awaitingNonce === '' || this.#options.now() - (lastSentAt ?? 0) >= this.#options.ackPatienceMs
  }

  #answer(state: ClientType, evenUnacknowledged: boolean): DeltaDiscoveryResponse | undefined {
    const { subscription, table } = state
    if (!subscription.mustAnswer && !evenUnacknowledged && !this.#mayPush(state)) return undefined
    const isWhole = isWholeMesh(state)
    const answer = subscription.answer(table)
    if (answer === 'too-far-behind') throw tooFarBehind()
    if (answer !== undefined) return this.#respond(state, answer, isWhole)
    return state.after === 'answered' ? this.#respond(state, NOTHING, false) : undefined
  }

  /** Told once for each type, and of a few types only: the client chooses the names. */
  #refuseType(typeUrl: string): void {
    const type = typeUrl.slice(0, MAX_TYPE_URL_CHARS)
    if (this.#refusedTypes.has(type) || this.#refusedTypes.size >= MAX_REFUSED_TYPES) return
    this.#refusedTypes.add(type)
    const fields = { node: this.#node?.id, typeUrl: type }
    this.#options.log.warn(fields, 'xds request for a type that is not served')
  }

  #acknowledge(state: ClientType, { typeUrl, errorDetail }: DeltaDiscoveryRequest): void {
    state.awaitingNonce = ''
    if (state.after === 'whole mesh') state.after = 'answered'
    const at = this.#options.now()
    if (errorDetail === undefined) {
      state.acks++
      state.lastAckAt = at
      state.ackedNonce = state.lastNonce
      this.#options.log.debug({ node: this.#node?.id, typeUrl, nonce: state.lastNonce }, 'xds ACK')
      return
    }
    const reason = errorDetail.message.slice(0, MAX_REASON_CHARS)
    state.nacks++
    this.#options.metrics?.rejected?.(typeUrl)
    state.lastNack = { at, reason }
    this.#options.log.warn({ node: this.#node?.id, typeUrl, nonce: state.lastNonce, reason }, 'xds NACK')
  }

  #respond(state: ClientType, answer: DeltaAnswer, isWhole: boolean): DeltaDiscoveryResponse {
    const { typeUrl } = state
    const nonce = String(++this.#nonce)
    state.lastNonce = nonce
    state.awaitingNonce = nonce
    state.lastSentAt = this.#options.now()
    state.responses++
    state.after = isWhole ? 'whole mesh' : undefined
    const { resources, removed, withAliases } = answer
    this.#options.log.debug(
      { node: this.#node?.id, typeUrl, nonce, resources: resources.length, removed: removed.length },
      'xds push',
    )
    const response = create(DeltaDiscoveryResponseSchema, {
      typeUrl,
      nonce,
      resources: isWhole ? [] : resources.map((resource) => encodeResource(resource, typeUrl, withAliases)),
      removedResources: [...removed],
    })
    // Written as it is: bytes of a field that the message says nothing of.
    if (isWhole) response.$unknown = [{ ...RESOURCES_FIELD, data: state.table.everything(typeUrl) }]
    return response
  }
}

const NOTHING: DeltaAnswer = { resources: [], removed: [], withAliases: false }
const POLICY_TYPES: readonly string[] = [AUTHORIZATION_TYPE, WAYPOINT_POLICY_TYPE]
/** What a proxy of that type subscribes to, in one go: a waypoint is this project's, as Istio's ask for none of these. */
const PROXY_TYPES: ReadonlyMap<string, readonly string[]> = new Map([
  ['ztunnel', [ADDRESS_TYPE, AUTHORIZATION_TYPE]],
  ['waypoint', [ADDRESS_TYPE, ROUTE_TYPE, WAYPOINT_POLICY_TYPE]],
])
/** A proxy writes its first requests together; later, the other type is not wanted. Milliseconds. */
const OTHER_TYPE_PATIENCE_MS = 1_000
/** Of a NACK's reason that is kept; a client writes it. Characters. */
const MAX_REASON_CHARS = 4096
/** Types that a client asks for in vain and that the log names; Envoys ask for five. Entries. */
const MAX_REFUSED_TYPES = 16
/** Of a type's name in the log. Characters. */
const MAX_TYPE_URL_CHARS = 256

function isBehind({ subscription, table }: ClientType): boolean {
  return subscription.isBehind(table)
}

function tooFarBehind(): ConnectError {
  const message = 'too much changed since the last response: open another stream with what is held'
  return new ConnectError(message, Code.Aborted)
}

function tooManyNames(): ConnectError {
  const message = `more than ${MAX_SUBSCRIBED_NAMES} names subscribed: subscribe to all (wildcard) instead`
  return new ConnectError(message, Code.ResourceExhausted)
}
