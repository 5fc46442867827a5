import type { Duplex } from 'node:stream'
import { type Cancellation, encodeBaggage, formatForwarded } from '../hbone/index.ts'
import {
  formatSocketAddress,
  type MeshView,
  type Route,
  type SocketAddress,
  type Workload,
  withResolvedAddress,
} from '../mesh/index.ts'
import { workloadBaggage } from '../ztunnel/proxy/baggage.ts'
import { connected } from '../ztunnel/proxy/dial.ts'
import type { SocketFactory } from '../ztunnel/proxy/socket-factory.ts'
import { openTunnel, type TunnelDependencies } from '../ztunnel/proxy/tunnel.ts'
import { WaypointError } from './errors.ts'

/** A way on that a connection can be made along. */
export type OpenRoute = Exclude<Route, { kind: 'refused' }>

export interface UpstreamDependencies extends TunnelDependencies {
  readonly mesh: MeshView
  readonly sockets: SocketFactory
  readonly random: () => number
  /** DNS, for workloads that have a hostname in place of an address. */
  readonly lookup: (hostname: string) => Promise<readonly string[]>
}

/** What an upstream connection says of where it comes from. */
export interface UpstreamRequest {
  /** As which it is made. */
  readonly waypoint: Workload
  /** Undefined for a connection that requests of several clients share. */
  readonly client: SocketAddress | undefined
  readonly traceparent: string | undefined
}

/** A connection to an upstream, and what the other side proved. */
export interface UpstreamConnection {
  readonly stream: Duplex
  readonly peerIdentity: string | undefined
}

/**
 * Connects to an endpoint, as the waypoint itself: by HBONE to where the
 * workload's tunnel ends, in double HBONE through a gateway, or plainly where
 * the workload has no tunnel. Rejects with WaypointError, ProxyError or
 * HboneError.
 */
export async function dialUpstream(
  deps: UpstreamDependencies,
  route: OpenRoute,
  { waypoint, client, traceparent }: UpstreamRequest,
  signal: Cancellation,
): Promise<UpstreamConnection> {
  const resolved = await withAddress(deps, route)
  if (resolved.kind !== 'hbone' && resolved.kind !== 'double-hbone') {
    const { connectTimeoutMs } = deps.settings
    const socket = deps.sockets.connect(resolved.dial)
    return {
      stream: await connected(socket, resolved.dial, connectTimeoutMs, signal),
      peerIdentity: undefined,
    }
  }
  const own = waypoint.addresses[0] ?? ''
  const from = client === undefined ? own : formatSocketAddress(client)
  const headers = {
    baggage: encodeBaggage(workloadBaggage(waypoint)),
    forwarded: formatForwarded(from, route.service?.hostname),
    ...(traceparent === undefined ? {} : { traceparent }),
  }
  // One key for all clients: the far side sees the waypoint, whoever asked.
  const request = { workload: waypoint, clientAddress: own, headers }
  const { stream, peerIdentity } = await openTunnel(deps, resolved, request, signal)
  return { stream, peerIdentity }
}

/** Connections of equal keys lead to the same endpoint, with the same proof asked of it. */
export function upstreamKey(route: OpenRoute): string {
  const { kind, dial, service } = route
  const tunnel = kind === 'hbone' || kind === 'double-hbone'
  const parts = [kind, formatSocketAddress(dial), service?.hostname ?? '', route.workload?.uid ?? '']
  return (tunnel ? [...parts, route.authority, ...route.expectedIdentities] : parts).join(' ')
}

/** `ip:port` of the endpoint's application: the tunnel's end, not the tunnel's entrance. */
export function upstreamHost(route: OpenRoute): string {
  return route.kind === 'hbone' || route.kind === 'double-hbone'
    ? route.authority
    : formatSocketAddress(route.dial)
}

async function withAddress(deps: UpstreamDependencies, route: OpenRoute): Promise<OpenRoute> {
  if (route.kind === 'passthrough' || route.dns === undefined) return route
  const answers = await deps.lookup(route.dns.hostname).catch((): readonly string[] => [])
  const resolved = withResolvedAddress(route, answers, deps.random)
  if (resolved.kind === 'refused') throw new WaypointError('no-upstream', resolved.message)
  return resolved
}
