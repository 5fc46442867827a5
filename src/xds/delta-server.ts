import { Code, ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect'
import {
  AggregatedDiscoveryService,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { SubscriptionStatus } from './client-type.ts'
import type { DeltaServerMetrics } from './delta-metrics.ts'
import { DeltaSession } from './delta-session.ts'
import { silentLog, type XdsLog } from './log.ts'
import type { ProvenCaller } from './node-rules.ts'
import { peerAddress } from './peer-address.ts'
import { PushGate } from './push-gate.ts'
import type { ResourceCache } from './resource-cache.ts'
import { Wakeup } from './wakeup.ts'

export interface DeltaServerOptions {
  readonly cache: ResourceCache
  /** Who calls, by the request's headers. What it throws becomes UNAUTHENTICATED. */
  readonly authenticate: (headers: Headers) => Promise<ProvenCaller> | ProvenCaller
  readonly log?: XdsLog
  readonly metrics?: DeltaServerMetrics
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number
  /** A client that leaves a response unanswered gets changes again after this long, milliseconds. Default 30,000. */
  readonly ackPatienceMs?: number
}

/** A client with an open stream. Times are milliseconds since the epoch. */
export interface ConnectedProxy {
  /** Empty until its first request. */
  readonly nodeId: string
  readonly version: string
  /** Where it comes from; empty if the listener does not say. */
  readonly address: string
  readonly caller: ProvenCaller
  readonly connectedAt: number
  readonly types: readonly SubscriptionStatus[]
}

/** More streams are refused with RESOURCE_EXHAUSTED: each holds its subscriptions. A stream is one node. */
export const MAX_STREAMS = 4096
/**
 * Of one identity on one node, so that one stolen token cannot take all the
 * streams. A node's proxy has one; sidecars of one service account that share a
 * token's shape have one each.
 */
export const MAX_STREAMS_PER_CALLER = 256

/**
 * The server side of delta ADS (xDS v3): `AggregatedDiscoveryService/
 * DeltaAggregatedResources` with istiod's answers to node proxies.
 */
export class DeltaServer {
  readonly #options: DeltaServerOptions
  readonly #log: XdsLog
  readonly #now: () => number
  readonly #streams = new Set<OpenStream>()
  readonly #gate = new PushGate(WHOLE_MESHES_AT_ONCE, WHOLE_MESH_PATIENCE_MS)

  constructor(options: DeltaServerOptions) {
    this.#options = options
    this.#log = options.log ?? silentLog
    this.#now = options.now ?? Date.now
  }

  /** Adds the service to a connect-es router. */
  readonly routes = (router: ConnectRouter): void => {
    router.service(AggregatedDiscoveryService, {
      deltaAggregatedResources: (requests, context) => this.#serve(requests, context),
    })
  }

  /** Every open stream, oldest first. */
  status(): readonly ConnectedProxy[] {
    return [...this.#streams].map(({ session, address, caller, connectedAt }) => ({
      nodeId: session.node?.id ?? '',
      version: session.node?.version ?? '',
      address,
      caller,
      connectedAt,
      types: session.status(),
    }))
  }

  async *#serve(
    requests: AsyncIterable<DeltaDiscoveryRequest>,
    context: HandlerContext,
  ): AsyncGenerator<DeltaDiscoveryResponse> {
    const stream = await this.#open(context)
    const wakeup = new Wakeup()
    const unsubscribe = this.#options.cache.subscribe(() => {
      stream.lacksSince ??= this.#options.cache.changedAt
      wakeup.wake()
    })
    // Read beside the answering: an acknowledgement must be heard while a large response is on its way.
    const reading = readAll(requests, stream, wakeup)
    try {
      while (!context.signal.aborted) {
        const leave = stream.session.wantsWholeMesh ? await this.#gate.enter() : undefined
        try {
          const began = performance.now()
          const response = stream.session.next()
          if (response !== undefined) {
            // Resumed when the connection has taken it: a slow client is asked nothing more of meanwhile.
            yield response
            this.#pushed(stream, response.typeUrl, began)
          } else if (stream.end !== undefined) break
          else await wakeup.wait(context.signal, this.#waitMs(stream))
        } finally {
          leave?.()
        }
        this.#checkProof(stream)
      }
      if (stream.end?.error !== undefined && !context.signal.aborted) throw stream.end.error
    } finally {
      unsubscribe()
      this.#streams.delete(stream)
      this.#log.info({ node: stream.session.node?.id }, 'xds stream closed')
      // It ends with the stream; its outcome is in `stream.end`.
      void reading
    }
  }

  #pushed(stream: OpenStream, typeUrl: string, began: number): void {
    const { metrics } = this.#options
    const now = performance.now()
    metrics?.pushed?.(typeUrl, (now - began) / 1000)
    if (stream.lacksSince === undefined || !stream.session.upToDate) return
    metrics?.converged?.((now - stream.lacksSince) / 1000)
    stream.lacksSince = undefined
  }

  #waitMs({ session, caller }: OpenStream): number | undefined {
    const look = session.nextLookMs()
    if (caller.expiresAt === undefined) return look
    const left = Math.max(0, caller.expiresAt - this.#now())
    return Math.min(left, look ?? LONGEST_WAIT_MS, LONGEST_WAIT_MS)
  }

  /** A token is checked when a stream opens; without this it would be good for as long as its holder stays connected. */
  #checkProof({ caller, session }: OpenStream): void {
    if (caller.expiresAt === undefined || this.#now() < caller.expiresAt) return
    this.#log.info({ node: session.node?.id }, 'xds stream ended: its token expired')
    throw new ConnectError(
      'the token of this stream expired: open another with a fresh one',
      Code.Unauthenticated,
    )
  }

  async #open(context: HandlerContext): Promise<OpenStream> {
    const caller = await this.#authenticate(context)
    if (!this.#options.cache.ready) {
      throw new ConnectError('server is not ready to serve discovery information', Code.Unavailable)
    }
    if (this.#streams.size >= MAX_STREAMS) {
      throw new ConnectError(`more than ${MAX_STREAMS} streams are open`, Code.ResourceExhausted)
    }
    const own = callerKey(caller)
    if (
      [...this.#streams].filter((stream) => callerKey(stream.caller) === own).length >= MAX_STREAMS_PER_CALLER
    ) {
      const message = `more than ${MAX_STREAMS_PER_CALLER} streams are open for ${own}`
      throw new ConnectError(message, Code.ResourceExhausted)
    }
    const session = new DeltaSession({
      cache: this.#options.cache,
      caller,
      log: this.#log,
      now: this.#now,
      ackPatienceMs: this.#options.ackPatienceMs ?? ACK_PATIENCE_MS,
      metrics: this.#options.metrics ?? {},
    })
    const stream: OpenStream = {
      session,
      address: context.values.get(peerAddress),
      caller,
      connectedAt: this.#now(),
      lacksSince: undefined,
      end: undefined,
    }
    this.#streams.add(stream)
    return stream
  }

  async #authenticate(context: HandlerContext): Promise<ProvenCaller> {
    try {
      return await this.#options.authenticate(context.requestHeader)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      this.#log.warn({ reason }, 'xds stream refused: caller not authenticated')
      throw new ConnectError(`authentication failure: ${reason}`, Code.Unauthenticated)
    }
  }
}

/** The service alone, for a router whose owner does not need `status`. */
export function adsRoutes(options: DeltaServerOptions): (router: ConnectRouter) => void {
  return new DeltaServer(options).routes
}

/** A client that has not answered by then is reported; applying 100,000 workloads takes seconds. */
const ACK_PATIENCE_MS = 30_000
/** New proxies that are sent a mesh at the same time; of 100,000 workloads it has about 30 MB, and each has its own copy. */
const WHOLE_MESHES_AT_ONCE = 8
/** A client may hold up others for so long; one that reads takes a second. Milliseconds. */
const WHOLE_MESH_PATIENCE_MS = 5_000
/** A longer timer than 31 bits hold fires at once; an hour later one can look again. */
const LONGEST_WAIT_MS = 3_600_000

function callerKey({ id, node }: ProvenCaller): string {
  const who = `${id.namespace}/${id.serviceAccount}`
  return node === undefined ? who : `${who} on ${node}`
}

interface OpenStream {
  readonly session: DeltaSession
  readonly address: string
  readonly caller: ProvenCaller
  readonly connectedAt: number
  /** When the first change became known that the client has not been sent, by `performance.now()`. */
  lacksSince: number | undefined
  /** Set when the client will send no more: it closed its side, or it is refused. */
  end: { readonly error: unknown } | undefined
}

/** Never rejects: the outcome goes to the stream, whose loop ends it. */
async function readAll(
  requests: AsyncIterable<DeltaDiscoveryRequest>,
  stream: OpenStream,
  wakeup: Wakeup,
): Promise<void> {
  try {
    for await (const request of requests) {
      stream.session.receive(request)
      wakeup.wake()
    }
    stream.end = { error: undefined }
  } catch (error) {
    stream.end = { error }
  }
  wakeup.wake()
}
