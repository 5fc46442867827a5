import {
  type Cancellation,
  decodeBaggage,
  formatForwarded,
  type HboneStream,
  makeTraceparent,
  type Traceparent,
} from '../../hbone/index.ts'
import {
  formatSocketAddress,
  type MeshStore,
  type Route,
  resolveOutbound,
  type Workload,
  withResolvedAddress,
} from '../../mesh/index.ts'
import type { ConnectionInfo, OnDemandDnsMetrics } from '../../telemetry/index.ts'
import { errorText } from '../errors.ts'
import { illegalPorts } from '../settings.ts'
import type { CapturedSocket } from './capture-listener.ts'
import { connected } from './dial.ts'
import type { ConnectionHandler, ConnectionOutcome } from './handler.ts'
import type { LocalWorkload } from './local-workload.ts'
import { type Demand, decideOnDemand } from './on-demand.ts'
import { watchForRefusal } from './plaintext-refusal.ts'
import {
  type Planned,
  type RelayDependencies,
  type RelayPlan,
  relayPlanned,
  withoutIdleSteps,
} from './relay.ts'
import type { SocketFactory } from './socket-factory.ts'
import { openTunnel, type TunnelDependencies } from './tunnel.ts'
import { WorkloadTexts } from './workload-texts.ts'

export interface OutboundDependencies extends RelayDependencies, TunnelDependencies {
  readonly local: LocalWorkload
  readonly mesh: MeshStore
  readonly sockets: SocketFactory
  readonly random: () => number
  readonly onHostnameUsed?: OnDemandDnsMetrics | undefined
  /** DNS, for workloads that have a hostname in place of an address. */
  readonly lookup: (hostname: string) => Promise<readonly string[]>
  readonly demand?: Demand | undefined
}

type Dialable = Exclude<Route, { kind: 'refused' }>

/** Handles what a workload opens (15001): resolve, then relay. */
export function outboundHandler(deps: OutboundDependencies): ConnectionHandler<CapturedSocket> {
  const illegal = illegalPorts(deps.settings)
  return (accepted) => relayPlanned(deps, planned(deps, accepted, illegal))
}

async function planned(
  deps: OutboundDependencies,
  accepted: CapturedSocket,
  illegal: ReadonlySet<number>,
): Promise<Planned> {
  const resolved = await resolve(deps, accepted, illegal)
  if ('kind' in resolved) return resolved
  const { source, route } = resolved
  const traceparent = makeTraceparent()
  const dialled = formatSocketAddress(route.dial)
  const info = connectionInfo(accepted, source, { route, dialled, traceId: traceparent.traceId })
  return {
    info,
    recordLate: route.kind === 'double-hbone',
    originalDestination: formatSocketAddress(accepted.destination),
    actualDestination: dialled,
    connect: async (dialSignal) => {
      const relayed = await dial(deps, accepted, source, route, { info, traceparent }, dialSignal)
      accepted.reply?.connected()
      return relayed
    },
    fail: (error) => turnAway(accepted, error),
  }
}

function turnAway({ socket, reply }: CapturedSocket, error: unknown): void {
  if (reply === undefined) socket.destroy()
  else reply.failed(error)
}

/** The route, or the outcome of a connection that was turned away before it had one. */
async function resolve(
  deps: OutboundDependencies,
  accepted: CapturedSocket,
  illegal: ReadonlySet<number>,
): Promise<{ source: Workload; route: Dialable } | ConnectionOutcome> {
  const refuse = (error: string): ConnectionOutcome => {
    turnAway(accepted, new Error(error))
    deps.telemetry.rejectedEarly({
      sourceAddress: formatSocketAddress(accepted.source),
      destinationAddress: formatSocketAddress(accepted.destination),
      direction: 'outbound',
      error,
    })
    return { kind: 'failed', flag: 'CONNECT', error }
  }
  try {
    const source = await deps.local.get()
    const { mesh, random, demand } = deps
    const network = deps.settings.network
    const destination = accepted.destination
    const input = { source, destination, network, random, illegalPorts: illegal }
    const decided = await decideOnDemand(mesh, demand, (view) => resolveOutbound(view, input))
    const route = await resolveDns(deps, source, decided)
    return route.kind === 'refused' ? refuse(route.message) : { source, route: withoutIdleSteps(deps, route) }
  } catch (error) {
    return refuse(errorText(error))
  }
}

/** A route to a hostname gets its address; all others are complete. */
async function resolveDns(deps: OutboundDependencies, source: Workload, route: Route): Promise<Route> {
  if (route.kind === 'passthrough' || route.kind === 'refused' || route.dns === undefined) return route
  deps.onHostnameUsed?.(source, route.dns.hostname)
  const answers = await deps.lookup(route.dns.hostname).catch((): readonly string[] => [])
  return withResolvedAddress(route, answers, deps.random)
}

function connectionInfo(
  accepted: CapturedSocket,
  source: Workload,
  { route, dialled, traceId }: { route: Dialable; dialled: string; traceId: string },
): Omit<ConnectionInfo, 'counts'> {
  const secure = route.kind === 'hbone' || route.kind === 'double-hbone'
  const proven = (workload: Workload): { identity?: string } =>
    secure ? { identity: WorkloadTexts.of(workload).uri } : {}
  return {
    direction: 'outbound',
    source: { address: formatSocketAddress(accepted.source), workload: source, ...proven(source) },
    destination: {
      address: dialled,
      ...(secure ? { hboneAddress: route.authority } : {}),
      ...(route.service === undefined ? {} : { service: route.service }),
      ...(route.workload === undefined ? {} : { workload: route.workload, ...proven(route.workload) }),
    },
    secure,
    traceId,
    steps: route.steps,
  }
}

async function dial(
  deps: OutboundDependencies,
  accepted: CapturedSocket,
  source: Workload,
  route: Dialable,
  { info, traceparent }: { info: RelayPlan['info']; traceparent: Traceparent },
  signal: Cancellation,
): ReturnType<RelayPlan['connect']> {
  const downstream = accepted.socket
  if (route.kind !== 'hbone' && route.kind !== 'double-hbone') {
    const socket = deps.sockets.connect(route.dial)
    const upstream = await connected(socket, route.dial, deps.settings.connectTimeoutMs, signal)
    if (route.kind === 'passthrough') return { downstream, upstream }
    return { downstream, upstream, refusal: watchForRefusal(deps.mesh, route, downstream, upstream) }
  }
  const headers = {
    baggage: WorkloadTexts.of(source).baggage,
    forwarded: formatForwarded(info.source.address, route.service?.hostname),
    traceparent: traceparent.header,
  }
  const request = { workload: source, clientAddress: accepted.source.address, headers }
  const tunnel = await openTunnel(deps, route, request, signal)
  const known = { downstream, upstream: tunnel.tunnel, peerIdentity: tunnel.peerIdentity }
  return route.kind === 'hbone' ? known : { ...known, info: answeredInfo(info, tunnel) }
}

/** Behind a gateway, who took the connection is only known by its answer (wire/ztunnel 4.3). */
function answeredInfo(info: RelayPlan['info'], { headers, peerIdentity }: HboneStream): RelayPlan['info'] {
  if (headers.baggage === undefined) return info
  const baggage = decodeBaggage(headers.baggage)
  const { workload: _gateway, ...destination } = info.destination
  return { ...info, destination: { ...destination, identity: peerIdentity, baggage } }
}
