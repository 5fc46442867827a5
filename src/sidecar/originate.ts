import {
  accessLog,
  internalListener,
  internalUpstream,
  type Json,
  ORIGINAL_DST,
  staticCluster,
  tcpProxy,
  typed,
  UNLIMITED,
} from './envoy.ts'
import { type TlsFiles, upstreamTls } from './tls.ts'

/** Who Envoy claims to be on the tunnels that it opens, and how it keeps their connections. */
export interface OriginateOptions {
  /** Of the listener and the cluster. Default {@link ORIGINATE}. */
  readonly name?: string
  readonly tls: TlsFiles
  readonly trustDomain: string
  /** A new HTTP/2 connection for each tunnel. Default false: they share. */
  readonly unshared?: boolean
  /** Receive window of a stream, bytes. Default: Envoy's own, 16 MiB. */
  readonly streamWindow?: number
  readonly keepalive?: { readonly interval: string; readonly timeout: string }
}

/** One end of a tunnel. */
export interface TunnelTarget {
  /** `ip:port`: the CONNECT's authority, and 15008 of that address is dialled. */
  readonly target: string
  /** `ip:15008` to dial in place of the target's own: a waypoint, which is asked for the target. */
  readonly waypoint?: string
}

/** istiod's name of the listener that puts each connection into a CONNECT, and of the cluster behind it. */
export const ORIGINATE = 'connect_originate'

/** The internal listener of sidecar, gateway and waypoint that opens tunnels (wire/istio 3.2). */
export function originateListener(name: string = ORIGINATE): Json {
  const log = accessLog(
    `originate ${name} target=%DOWNSTREAM_LOCAL_ADDRESS% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% up=%BYTES_SENT% down=%BYTES_RECEIVED% host=%UPSTREAM_HOST% peer=%UPSTREAM_PEER_URI_SAN% since=%UPSTREAM_PEER_CERT_V_START% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON% end=%CONNECTION_TERMINATION_DETAILS%`,
  )
  const tunneling = { tunneling_config: { hostname: '%DOWNSTREAM_LOCAL_ADDRESS%' } }
  return internalListener(name, [{ filters: [tcpProxy(name, { ...tunneling, ...log })] }])
}

/** The HTTP/2 connections that carry them. */
export function originateCluster(options: OriginateOptions): Json {
  return {
    name: options.name ?? ORIGINATE,
    type: 'ORIGINAL_DST',
    lb_policy: 'CLUSTER_PROVIDED',
    connect_timeout: '10s',
    cleanup_interval: '60s',
    original_dst_lb_config: {
      upstream_port_override: 15_008,
      metadata_key: { key: ORIGINAL_DST, path: [{ key: WAYPOINT }] },
    },
    ...UNLIMITED,
    ...http2Connect(options),
    transport_socket: upstreamTls(options.tls, options.trustDomain),
  }
}

/** A cluster whose endpoints are reached through tunnels. */
export function tunnelledCluster(
  name: string,
  targets: readonly TunnelTarget[],
  originate: string = ORIGINATE,
  more: Json = {},
): Json {
  const endpoints = targets.map(({ target, waypoint }) => ({
    endpoint: {
      address: { envoy_internal_address: { server_listener_name: originate, endpoint_id: target } },
    },
    metadata: {
      filter_metadata: {
        [ORIGINAL_DST]: { local: target, ...(waypoint === undefined ? {} : { [WAYPOINT]: waypoint }) },
      },
    },
  }))
  return staticCluster(name, endpoints, { transport_socket: internalUpstream([ORIGINAL_DST]), ...more })
}

/** Upstream protocol options of a cluster that carries CONNECT. */
export function http2Connect({
  unshared,
  streamWindow,
  keepalive,
}: Pick<OriginateOptions, 'keepalive' | 'streamWindow' | 'unshared'> = {}): Json {
  const limits = unshared === true ? { max_requests_per_connection: 1 } : {}
  return {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
        'upstreams.http.v3.HttpProtocolOptions',
        {
          common_http_protocol_options: { idle_timeout: '3600s', ...limits },
          explicit_http_config: {
            http2_protocol_options: {
              allow_connect: true,
              ...(streamWindow === undefined ? {} : { initial_stream_window_size: streamWindow }),
              ...(keepalive === undefined ? {} : { connection_keepalive: keepalive }),
            },
          },
        },
      ),
    },
  }
}

/** Beside the destination: where to dial instead. */
const WAYPOINT = 'waypoint'
