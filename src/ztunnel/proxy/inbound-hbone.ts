import type { Duplex } from 'node:stream'
import {
  type Baggage,
  type Cancellation,
  decodeBaggage,
  formatAuthority,
  HboneError,
  type HboneRequest,
  parseForwardedHost,
  parseTraceparent,
} from '../../hbone/index.ts'
import {
  formatSocketAddress,
  type Hairpin,
  type InboundRoute,
  identityUri,
  isLoopback,
  type PolicyContext,
  resolveInbound,
  type SocketAddress,
  type Workload,
} from '../../mesh/index.ts'
import type { ConnectionInfo } from '../../telemetry/index.ts'
import { errorText, ProxyError } from '../errors.ts'
import { illegalPorts } from '../settings.ts'
import { connected } from './dial.ts'
import { type Arrival, dialWaypoint, hairpinOf, isOtherNetwork, waypointInfo } from './hairpin.ts'
import type { ConnectionHandler, ConnectionOutcome } from './handler.ts'
import type { InboundDependencies } from './inbound-passthrough.ts'
import { decideOnDemand } from './on-demand.ts'
import { proxyHeaderV2 } from './proxy-protocol.ts'
import { type Planned, type RelayPlan, relayPlanned, withoutIdleSteps } from './relay.ts'
import { WorkloadTexts } from './workload-texts.ts'

type AcceptedRoute = Extract<InboundRoute, { kind: 'accepted' }>

/** Handles one CONNECT that reached a workload (15008): validate, judge, dial the application or the waypoint, relay. */
export function hboneHandler(deps: InboundDependencies): ConnectionHandler<HboneRequest> {
  const illegal = illegalPorts(deps.settings)
  return (request) => relayPlanned(deps, planned(deps, request, illegal))
}

async function planned(
  deps: InboundDependencies,
  request: HboneRequest,
  illegal: ReadonlySet<number>,
): Promise<Planned> {
  try {
    const workload = await deps.local.get()
    const route = withoutIdleSteps(deps, await resolve(deps, request, workload, illegal))
    if (route.kind === 'refused') return turnAway(deps, request, route.status, route.message)
    return await planOf(deps, request, workload, route)
  } catch (error) {
    return turnAway(deps, request, 503, errorText(error))
  }
}

function turnAway(
  { telemetry }: InboundDependencies,
  request: HboneRequest,
  status: number,
  error: string,
): ConnectionOutcome {
  request.refuse(status)
  telemetry.rejectedEarly({
    sourceAddress: formatSocketAddress(request.peer),
    destinationAddress: formatSocketAddress(request.local),
    direction: 'inbound',
    error,
  })
  return { kind: 'failed', flag: 'CONNECT', error }
}

function resolve(
  { mesh, demand, settings }: InboundDependencies,
  request: HboneRequest,
  workload: Workload,
  illegalPorts: ReadonlySet<number>,
): Promise<InboundRoute> {
  const input = {
    workload,
    connectionDestination: request.local,
    authority: request.authority,
    network: settings.network,
    forwardedHost: parseForwardedHost(request.headers.forwarded),
    illegalPorts,
  }
  return decideOnDemand(mesh, demand, (view) => resolveInbound(view, input))
}

async function planOf(
  deps: InboundDependencies,
  request: HboneRequest,
  workload: Workload,
  route: AcceptedRoute,
): Promise<RelayPlan> {
  const context: PolicyContext = {
    sourceIdentity: request.peer.identity,
    sourceAddress: request.peer.address,
    destinationAddress: route.upstream.address,
    destinationPort: route.upstream.port,
  }
  const arrival = arrivalOf(request, workload, route)
  const hairpin = withoutIdleSteps(deps, await hairpinOf(deps, arrival))
  let answered = false
  const authority = formatAuthority(request.authority)
  return {
    info: connectionInfo(deps, request, workload, { route, hairpin, authority }),
    originalDestination: authority,
    actualDestination: waypointInfo(hairpin).waypoint ?? formatSocketAddress(route.upstream),
    policy: { context, judge: () => deps.policies.judge(workload, context) },
    connect: async (dialSignal) => {
      if (hairpin.kind === 'refused') throw new ProxyError('waypoint', hairpin.message)
      const upstream =
        hairpin.kind === 'waypoint'
          ? await dialWaypoint(deps, hairpin.route, arrival, dialSignal)
          : await dialApplication(deps, request, route, dialSignal)
      answered = true
      const downstream = request.acceptTunnel(
        deps.settings.responseBaggage ? { baggage: WorkloadTexts.of(workload).baggage } : {},
      )
      if (hairpin.kind === 'direct') writeProxyHeader(upstream, request, route)
      return { downstream, upstream }
    },
    // After the 200 only a reset is left.
    fail: (error) => {
      if (!answered) request.refuse(statusOf(error))
    },
  }
}

/** What the waypoint is asked for is what the client asked for, not the port of an application tunnel. */
function arrivalOf(request: HboneRequest, workload: Workload, { upstream, tunnel }: AcceptedRoute): Arrival {
  const { peer, headers } = request
  const destination = { address: upstream.address, port: tunnel?.target.port ?? upstream.port }
  return { workload, destination, client: peer, identity: peer.identity, headers }
}

/** 401 for policy and 503 for the rest is what Istio's peers know; a waypoint's refusal is passed on as it is. */
function statusOf(error: unknown): number {
  if (error instanceof ProxyError && (error.code === 'policy-denied' || error.code === 'policy-changed'))
    return 401
  if (error instanceof HboneError && error.status !== undefined && error.status >= 400) return error.status
  return 503
}

function dialApplication(
  deps: InboundDependencies,
  request: HboneRequest,
  route: AcceptedRoute,
  signal: Cancellation,
): Promise<Duplex> {
  const target = applicationAddress(deps, route)
  const socket = deps.sockets.connect(target, spoofedSource(deps, request, target))
  return connected(socket, target, deps.settings.connectTimeoutMs, signal)
}

/** After the 200, before the first byte of the client. */
function writeProxyHeader(
  upstream: { write(bytes: Buffer): unknown },
  { peer }: HboneRequest,
  { tunnel }: AcceptedRoute,
): void {
  if (tunnel === undefined) return
  const identity = peer.identity === undefined ? undefined : identityUri(peer.identity)
  upstream.write(proxyHeaderV2(peer, tunnel.target, identity))
}

/** PROXY-protocol applications are dialled on loopback: the header has the client's address. */
function applicationAddress({ settings }: InboundDependencies, route: AcceptedRoute): SocketAddress {
  if (route.tunnel === undefined || !settings.localhostAppTunnel) return route.upstream
  return { address: route.upstream.address.includes(':') ? '::1' : '127.0.0.1', port: route.upstream.port }
}

/** The application sees the client's address, unless that is its own or it is told by PROXY protocol. */
function spoofedSource(
  { transparent }: InboundDependencies,
  { peer }: HboneRequest,
  target: SocketAddress,
): string | undefined {
  if (!transparent || peer.address === target.address) return undefined
  return isLoopback(target.address) ? undefined : peer.address
}

function connectionInfo(
  { mesh, settings }: InboundDependencies,
  request: HboneRequest,
  workload: Workload,
  { route, hairpin, authority }: { route: AcceptedRoute; hairpin: Hairpin; authority: string },
): Omit<ConnectionInfo, 'counts'> {
  const { headers, peer } = request
  // A peer of another network is not found by its address here; its baggage tells who it is.
  const source = isOtherNetwork(headers, settings.network)
    ? undefined
    : mesh.workloadByAddress({ network: settings.network, address: peer.address })
  // What the mesh knows of the client goes before what the client says.
  const baggage: Baggage | undefined =
    settings.responseBaggage && source === undefined ? decodeBaggage(headers.baggage) : undefined
  const traceId = parseTraceparent(headers.traceparent)?.traceId
  return {
    direction: 'inbound',
    source: {
      address: formatSocketAddress(peer),
      ...(source === undefined ? {} : { workload: source }),
      ...(peer.identity === undefined ? {} : { identity: WorkloadTexts.ofPeer(peer.identity) }),
      ...(baggage === undefined ? {} : { baggage }),
    },
    destination: {
      address: formatSocketAddress(request.local),
      hboneAddress: authority,
      workload,
      ...(route.service === undefined ? {} : { service: route.service }),
      identity: WorkloadTexts.of(workload).uri,
    },
    secure: true,
    ...(traceId === undefined ? {} : { traceId }),
    steps: [...route.steps, ...hairpin.steps],
    ...waypointInfo(hairpin),
  }
}
