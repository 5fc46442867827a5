import {
  accessLog,
  bootstrap,
  commonTls,
  extension,
  internalListener,
  internalUpstream,
  type Json,
  socketAddress,
  staticCluster,
  type TlsFiles,
  tcpProxy,
  typed,
  UNLIMITED,
} from './envoy-config.ts'

/** Who Envoy claims to be on a connection, and how it keeps its connections. */
export interface Origin {
  readonly tls: TlsFiles
  /** A new HTTP/2 connection for each tunnel. Default false: they share. */
  readonly unshared?: boolean
  /** Receive window of a stream, bytes. Default: Envoy's own, 16 MiB. */
  readonly streamWindow?: number
  readonly keepalive?: { readonly interval: string; readonly timeout: string }
}

/** A port on the pod's loopback: what goes in comes out at `target`. */
export interface Exit {
  readonly port: number
  /** `ip:port`, the CONNECT's authority; 15008 of that IP is dialled. */
  readonly target: string
  /** Key of {@link ClientConfig.origins}. */
  readonly origin: string
}

export interface ClientConfig {
  readonly origins: Readonly<Record<string, Origin>>
  readonly exits: readonly Exit[]
}

/** Sidecar outbound (wire/istio 3.2): an internal listener that puts each connection into a CONNECT. */
export function clientBootstrap({ origins, exits }: ClientConfig): Json {
  return bootstrap(
    [...exits.map(exitListener), ...Object.keys(origins).map(originateListener)],
    [
      ...exits.map(exitCluster),
      ...Object.entries(origins).map(([name, origin]) => originateCluster(name, origin)),
    ],
  )
}

/** Name of the cluster that holds an origin's HTTP/2 connections, for its statistics. */
export function originateName(origin: string): string {
  return `connect_originate_${origin}`
}

function exitListener({ port }: Exit): Json {
  return {
    name: `exit_${port}`,
    address: socketAddress('127.0.0.1', port),
    filter_chains: [{ filters: [tcpProxy(`exit_${port}`)] }],
  }
}

function exitCluster({ port, target, origin }: Exit): Json {
  const address = {
    envoy_internal_address: { server_listener_name: originateName(origin), endpoint_id: target },
  }
  const metadata = { filter_metadata: { [ORIGINAL_DST]: { local: target } } }
  return staticCluster(
    `exit_${port}`,
    { endpoint: { address }, metadata },
    { transport_socket: internalUpstream([ORIGINAL_DST]) },
  )
}

function originateListener(origin: string): Json {
  const name = originateName(origin)
  const log = accessLog(
    `originate ${origin} target=%DOWNSTREAM_LOCAL_ADDRESS% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% up=%BYTES_SENT% down=%BYTES_RECEIVED% peer=%UPSTREAM_PEER_URI_SAN% since=%UPSTREAM_PEER_CERT_V_START% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON% end=%CONNECTION_TERMINATION_DETAILS%`,
  )
  const tunneling = { tunneling_config: { hostname: '%DOWNSTREAM_LOCAL_ADDRESS%' } }
  return internalListener(name, [{ filters: [tcpProxy(name, { ...tunneling, ...log })] }])
}

function originateCluster(name: string, { tls, unshared, keepalive, streamWindow }: Origin): Json {
  const limits = unshared === true ? { max_requests_per_connection: 1 } : {}
  return {
    name: originateName(name),
    type: 'ORIGINAL_DST',
    lb_policy: 'CLUSTER_PROVIDED',
    connect_timeout: '10s',
    cleanup_interval: '60s',
    original_dst_lb_config: { upstream_port_override: 15008 },
    ...UNLIMITED,
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
    transport_socket: extension(
      'envoy.transport_sockets.tls',
      'transport_sockets.tls.v3.UpstreamTlsContext',
      {
        common_tls_context: commonTls(tls),
      },
    ),
  }
}

const ORIGINAL_DST = 'envoy.filters.listener.original_dst'
