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
} from './envoy-config.ts'

export interface ServerConfig {
  /** The pod's. */
  readonly address: string
  readonly tls: TlsFiles
  /** The pod's ports; others have no filter chain. */
  readonly ports: readonly ServedPort[]
  /** Receive window of a stream, bytes. Default: Envoy's own, 16 MiB. */
  readonly streamWindow?: number
}

export interface ServedPort {
  readonly port: number
  /** Only this SPIFFE id may connect. Default: any of the mesh. */
  readonly only?: string
}

/** Sidecar inbound (wire/istio 3.4): CONNECT ends on 15008, its bytes go to an internal listener and to the application. */
export function serverBootstrap(config: ServerConfig): Json {
  return bootstrap(
    [
      terminateListener(config),
      internalListener(
        MAIN,
        config.ports.map((port) => portChain(config, port)),
      ),
    ],
    [
      staticCluster(
        MAIN,
        { endpoint: { address: { envoy_internal_address: { server_listener_name: MAIN } } } },
        { transport_socket: internalUpstream() },
      ),
      ...config.ports.map(({ port }) =>
        staticCluster(`inbound_${port}`, { endpoint: { address: socketAddress(config.address, port) } }),
      ),
    ],
  )
}

function terminateListener({ address, tls, streamWindow }: ServerConfig): Json {
  return {
    name: 'connect_terminate',
    address: socketAddress(address, 15008),
    connection_balance_config: { exact_balance: {} },
    filter_chains: [
      {
        transport_socket: extension(
          'envoy.transport_sockets.tls',
          'transport_sockets.tls.v3.DownstreamTlsContext',
          { require_client_certificate: true, common_tls_context: commonTls(tls) },
        ),
        filters: [connectionManager(streamWindow)],
      },
    ],
  }
}

function connectionManager(streamWindow: number | undefined): Json {
  return extension(
    'envoy.filters.network.http_connection_manager',
    'filters.network.http_connection_manager.v3.HttpConnectionManager',
    {
      stat_prefix: 'connect_terminate',
      codec_type: 'HTTP2',
      use_remote_address: false,
      stream_idle_timeout: '0s',
      generate_request_id: false,
      http2_protocol_options: {
        allow_connect: true,
        max_concurrent_streams: 100,
        ...(streamWindow === undefined ? {} : { initial_stream_window_size: streamWindow }),
        connection_keepalive: { interval: '10s', timeout: '20s' },
      },
      upgrade_configs: [{ upgrade_type: 'CONNECT' }],
      route_config: {
        name: 'default',
        virtual_hosts: [{ name: 'default', domains: ['*'], routes: [connectRoute()] }],
      },
      http_filters: [
        setFilterState(),
        extension('envoy.filters.http.router', 'filters.http.router.v3.Router'),
      ],
      ...accessLog(
        'terminate authority=%REQ(:AUTHORITY)% code=%RESPONSE_CODE% details=%RESPONSE_CODE_DETAILS% flags=%RESPONSE_FLAGS% peer=%DOWNSTREAM_PEER_URI_SAN% since=%DOWNSTREAM_PEER_CERT_V_START% tls=%DOWNSTREAM_TLS_VERSION% sni=%REQUESTED_SERVER_NAME% baggage="%REQ(BAGGAGE)%" forwarded="%REQ(FORWARDED)%" traceparent=%REQ(TRACEPARENT)%',
      ),
    },
  )
}

/** Without `timeout`, as istiod leaves it: Envoy's 15 seconds apply. */
function connectRoute(): Json {
  const upgrade_configs = [{ upgrade_type: 'CONNECT', connect_config: {} }]
  return { match: { connect_matcher: {} }, route: { cluster: MAIN, upgrade_configs } }
}

function setFilterState(): Json {
  const state = (object_key: string, format: string, more: Json = {}): Json => ({
    object_key,
    shared_with_upstream: 'ONCE',
    format_string: { text_format_source: { inline_string: format } },
    ...more,
  })
  const principal = { factory_key: 'envoy.hashable_string' }
  return extension('envoy.filters.http.set_filter_state', 'filters.http.set_filter_state.v3.Config', {
    on_request_headers: [
      state('envoy.filters.listener.original_dst.local_ip', '%REQ(:AUTHORITY)%'),
      state('envoy.filters.listener.original_dst.remote_ip', '%DOWNSTREAM_REMOTE_ADDRESS%'),
      state(PEER_PRINCIPAL, '%DOWNSTREAM_PEER_URI_SAN%', principal),
    ],
  })
}

function portChain({ address }: ServerConfig, { port, only }: ServedPort): Json {
  return {
    name: `port_${port}`,
    filter_chain_match: {
      destination_port: port,
      prefix_ranges: [{ address_prefix: address, prefix_len: 32 }],
    },
    filters: [
      ...(only === undefined ? [] : [onlyPeer(port, only)]),
      tcpProxy(
        `inbound_${port}`,
        accessLog(
          `inbound ${port} flags=%RESPONSE_FLAGS% up=%BYTES_SENT% down=%BYTES_RECEIVED% end=%CONNECTION_TERMINATION_DETAILS%`,
        ),
      ),
    ],
  }
}

function onlyPeer(port: number, id: string): Json {
  const principal = { filter_state: { key: PEER_PRINCIPAL, string_match: { exact: id } } }
  const policies = { only: { permissions: [{ any: true }], principals: [principal] } }
  return extension('envoy.filters.network.rbac', 'filters.network.rbac.v3.RBAC', {
    stat_prefix: `inbound_${port}`,
    rules: { action: 'ALLOW', policies },
  })
}

const MAIN = 'main_internal'
const PEER_PRINCIPAL = 'io.istio.peer_principal'
