import {
  type Cancellation,
  CLIENT_IDENTITY_HEADER,
  encodeBaggage,
  FORWARDED_NETWORK_HEADER,
  formatForwarded,
  type HboneHeaders,
  makeTraceparent,
  NO_CLIENT_IDENTITY,
  type PumpEnd,
  parseForwardedHost,
  parseTraceparent,
} from '../../hbone/index.ts'
import {
  formatSocketAddress,
  type Hairpin,
  type Identity,
  identityUri,
  type MeshStore,
  resolveHairpin,
  type SocketAddress,
  type Workload,
  withResolvedAddress,
} from '../../mesh/index.ts'
import type { ConnectionInfo } from '../../telemetry/index.ts'
import { ProxyError } from '../errors.ts'
import { workloadBaggage } from './baggage.ts'
import { type Demand, decideOnDemand } from './on-demand.ts'
import { openTunnel, type TunnelDependencies, type TunnelRoute } from './tunnel.ts'

export interface HairpinDependencies extends TunnelDependencies {
  readonly mesh: MeshStore
  readonly random: () => number
  /** DNS, for a waypoint that has a hostname in place of an address. */
  readonly lookup: (hostname: string) => Promise<readonly string[]>
  readonly demand?: Demand | undefined
}

/** A connection that reached a workload, as far as its waypoint is concerned. */
export interface Arrival {
  readonly workload: Workload
  /** What the client wants of the workload: its own address and port. */
  readonly destination: SocketAddress
  /** The client's side of the TCP connection. */
  readonly client: SocketAddress
  /** Proven by mutual TLS; undefined for plaintext. */
  readonly identity: Identity | undefined
  /** Of the client's CONNECT; none for plaintext. */
  readonly headers: HboneHeaders
}

/** Whether the workload's waypoint has to see a connection first. */
export function hairpinOf(
  { mesh, settings, random, demand }: HairpinDependencies,
  arrival: Arrival,
): Promise<Hairpin> {
  const { workload, destination, client, identity, headers } = arrival
  const input = {
    workload,
    destination,
    client: {
      address: client.address,
      identity,
      otherNetwork: isOtherNetwork(headers, settings.network),
      hairpinned: headers.clientIdentity !== undefined,
    },
    network: settings.network,
    enforcement: settings.waypointEnforcement,
    random,
  }
  return decideOnDemand(mesh, demand, (view) => resolveHairpin(view, input))
}

/** Whether a request comes from another network, whose addresses mean nothing here (wire/ztunnel 5.7). */
export function isOtherNetwork({ xForwardedNetwork }: HboneHeaders, network: string): boolean {
  return xForwardedNetwork !== undefined && xForwardedNetwork.toLowerCase() !== network.toLowerCase()
}

/**
 * Opens the tunnel to the waypoint, as the workload that was reached. What the
 * client said of itself goes along, and what it proved: the waypoint sees the
 * workload's certificate only. Throws what `openTunnel` throws.
 */
export async function dialWaypoint(
  deps: HairpinDependencies,
  route: TunnelRoute,
  arrival: Arrival,
  signal: Cancellation,
): Promise<PumpEnd> {
  const answers = route.dns === undefined ? [] : await deps.lookup(route.dns.hostname).catch(() => [])
  const resolved = withResolvedAddress(route, answers, deps.random)
  if (resolved.kind !== 'hbone') {
    throw new ProxyError(
      'waypoint',
      resolved.kind === 'refused' ? resolved.message : 'no HBONE to the waypoint',
    )
  }
  const { workload, client } = arrival
  const request = { workload, clientAddress: client.address, headers: waypointHeaders(deps, arrival) }
  const { tunnel } = await openTunnel(deps, resolved, request, signal)
  return tunnel
}

/** What a hairpin adds to the record of its connection. */
export function waypointInfo(hairpin: Hairpin): Pick<ConnectionInfo, 'waypoint'> {
  return hairpin.kind === 'waypoint' ? { waypoint: formatSocketAddress(hairpin.route.dial) } : {}
}

function waypointHeaders(
  { mesh, settings }: HairpinDependencies,
  { client, identity, headers }: Arrival,
): Record<string, string> {
  const { network } = settings
  const source = isOtherNetwork(headers, network)
    ? undefined
    : mesh.workloadByAddress({ network, address: client.address })
  const { baggage = source === undefined ? '' : encodeBaggage(workloadBaggage(source)) } = headers
  const traceparent = parseTraceparent(headers.traceparent) ?? makeTraceparent()
  return {
    baggage,
    forwarded: formatForwarded(formatSocketAddress(client), parseForwardedHost(headers.forwarded)),
    traceparent: traceparent.header,
    [CLIENT_IDENTITY_HEADER]: identity === undefined ? NO_CLIENT_IDENTITY : identityUri(identity),
    ...(headers.xForwardedNetwork === undefined
      ? {}
      : { [FORWARDED_NETWORK_HEADER]: headers.xForwardedNetwork }),
  }
}
