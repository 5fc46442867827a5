import {
  accessLog,
  destinationMatch,
  endpointAt,
  extension,
  internalCluster,
  type Json,
  originalDestination,
  socketAddress,
  staticCluster,
  tcpProxy,
  UNLIMITED,
} from './envoy.ts'
import { ORIGINATE, tunnelledCluster } from './originate.ts'

/** An endpoint of a service. */
export interface OutboundEndpoint {
  readonly address: string
  readonly port: number
}

/** A port of a service: an address that the application dials. */
export interface OutboundPort {
  /** For names in Envoy: `hostname_port`. */
  readonly name: string
  readonly addresses: readonly string[]
  readonly port: number
  /** The endpoints' 15008 is dialled; otherwise they get plain TCP. */
  readonly hbone: boolean
  readonly endpoints: readonly OutboundEndpoint[]
}

export interface OutboundOptions {
  readonly ports: readonly OutboundPort[]
  /** Pods that take HBONE: who dials one itself gets a tunnel to it, whatever the port. */
  readonly hbonePods: readonly string[]
  /** Also listen on IPv6. */
  readonly ipv6: boolean
}

/**
 * 15001: what the application opens is redirected here. Services of the mesh
 * are balanced over their pods, past waypoints (wire/istio 3.2); what is no
 * address of the mesh goes where it was going.
 */
export function outboundListener({ ports, hbonePods, ipv6 }: OutboundOptions): Json {
  return {
    name: 'virtualOutbound',
    address: ipv6
      ? { socket_address: { address: '::', port_value: OUTBOUND_PORT, ipv4_compat: true } }
      : socketAddress('0.0.0.0', OUTBOUND_PORT),
    listener_filters: [originalDestination()],
    filter_chains: [
      ...ports.map(({ name, addresses, port, endpoints }) => ({
        name,
        filter_chain_match: destinationMatch(addresses, port),
        filters: [tcpProxy(endpoints.length === 0 ? NOWHERE : name, log(name))],
      })),
      ...(hbonePods.length === 0 ? [] : podChains(hbonePods, ports)),
    ],
    default_filter_chain: { filters: [tcpProxy(PASSTHROUGH, log(PASSTHROUGH))] },
  }
}

/** Clusters that {@link outboundListener} leads to. */
export function outboundClusters({ ports, hbonePods }: OutboundOptions): readonly Json[] {
  const served = ports.filter(({ endpoints }) => endpoints.length > 0)
  return [
    ...served.map(serviceCluster),
    ...(hbonePods.length === 0 ? [] : [internalCluster(TO_POD, ORIGINATE)]),
    ...(served.length === ports.length ? [] : [staticCluster(NOWHERE, [])]),
    {
      name: PASSTHROUGH,
      type: 'ORIGINAL_DST',
      lb_policy: 'CLUSTER_PROVIDED',
      connect_timeout: '10s',
      ...UNLIMITED,
    },
  ]
}

function serviceCluster({ name, hbone, endpoints }: OutboundPort): Json {
  if (!hbone)
    return staticCluster(
      name,
      endpoints.map(({ address, port }) => endpointAt(address, port)),
    )
  const target = ({ address, port }: OutboundEndpoint): string =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  return tunnelledCluster(
    name,
    endpoints.map((endpoint) => ({ target: target(endpoint) })),
  )
}

/**
 * The address that was dialled is the tunnel's authority. Envoy matches the
 * port before the address and does not go back: a pod's ports that a service
 * has too need chains of their own.
 */
function podChains(pods: readonly string[], ports: readonly OutboundPort[]): readonly Json[] {
  const local = {
    object_key: 'envoy.filters.listener.original_dst.local_ip',
    shared_with_upstream: 'ONCE',
    format_string: { text_format_source: { inline_string: '%DOWNSTREAM_LOCAL_ADDRESS%' } },
  }
  const state = extension(
    'envoy.filters.network.set_filter_state',
    'filters.network.set_filter_state.v3.Config',
    { on_new_connection: [local] },
  )
  const filters = [state, tcpProxy(TO_POD, log(TO_POD))]
  const { prefix_ranges } = destinationMatch(pods, 0)
  const shared = [...new Set(ports.map(({ port }) => port))]
  return [
    { name: TO_POD, filter_chain_match: { prefix_ranges }, filters },
    ...shared.map((port) => ({
      name: `${TO_POD}_${port}`,
      filter_chain_match: destinationMatch(pods, port),
      filters,
    })),
  ]
}

function log(name: string): Json {
  return accessLog(
    `outbound ${name} target=%DOWNSTREAM_LOCAL_ADDRESS% host=%UPSTREAM_HOST% flags=%RESPONSE_FLAGS% up=%BYTES_SENT% down=%BYTES_RECEIVED%`,
  )
}

const OUTBOUND_PORT = 15_001
const TO_POD = 'hbone_pod'
const PASSTHROUGH = 'passthrough'
/** A service without a usable endpoint is an error, not somebody else's address. */
const NOWHERE = 'no_healthy_upstream'
