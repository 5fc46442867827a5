import {
  accessLog,
  connectionManager,
  extension,
  internalCluster,
  type Json,
  PEER_PRINCIPAL,
  socketAddress,
} from './envoy.ts'
import { downstreamTls, type TlsFiles } from './tls.ts'

/** Where the tunnels of one Envoy end. */
export interface TerminateOptions {
  /** Addresses whose port 15008 is listened on. */
  readonly addresses: readonly string[]
  readonly tls: TlsFiles
  readonly trustDomain: string
  /** Receive window of a stream, bytes. Default: Envoy's own, 16 MiB. */
  readonly streamWindow?: number
  /**
   * The only authorities that are served, as text. Default: all, for
   * {@link MAIN} to sort out. A filter that compares text needs them: Envoy
   * takes `:09001` for port 9001, too.
   */
  readonly authorities?: readonly string[]
  /** HTTP filters that see each CONNECT before it is answered. Default none. */
  readonly filters?: readonly Json[]
}

/** The internal listener that gets the bytes of every tunnel, and the cluster that leads to it. */
export const MAIN = 'main_internal'

/**
 * 15008 of a sidecar or a waypoint, as istiod generates it (wire/istio 3.4):
 * CONNECT ends here, its bytes go on to {@link MAIN} with the authority as
 * their destination and the peer's SPIFFE id beside them.
 */
export function terminateListener(options: TerminateOptions): Json {
  const [address = '0.0.0.0', ...others] = options.addresses
  return {
    name: 'connect_terminate',
    address: socketAddress(address, HBONE_PORT),
    ...(others.length === 0
      ? {}
      : { additional_addresses: others.map((other) => ({ address: socketAddress(other, HBONE_PORT) })) }),
    connection_balance_config: { exact_balance: {} },
    filter_chains: [
      {
        transport_socket: downstreamTls(options.tls, options.trustDomain),
        filters: [terminator(options)],
      },
    ],
  }
}

export function mainCluster(): Json {
  return internalCluster(MAIN, MAIN)
}

/** The filter state that a tunnel's bytes keep when they go on. */
export function tunnelState(...states: readonly Json[]): Json {
  return extension('envoy.filters.http.set_filter_state', 'filters.http.set_filter_state.v3.Config', {
    on_request_headers: states,
  })
}

/** One value of {@link tunnelState}. */
export function state(key: string, format: string, more: Json = {}): Json {
  return {
    object_key: key,
    shared_with_upstream: 'ONCE',
    format_string: { text_format_source: { inline_string: format } },
    ...more,
  }
}

/** Without `timeout`, as istiod leaves it: Envoy's 15 seconds apply from the client's END_STREAM. */
export function connectRoute(cluster: string): Json {
  const upgrade_configs = [{ upgrade_type: 'CONNECT', connect_config: {} }]
  return { match: { connect_matcher: {} }, route: { cluster, upgrade_configs } }
}

/** HTTP/2 of a listener for CONNECT: istiod's limits (wire/istio 3.4). */
export function connectProtocol(streamWindow: number | undefined): Json {
  return {
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
    ...accessLog(
      'terminate authority=%REQ(:AUTHORITY)% code=%RESPONSE_CODE% details=%RESPONSE_CODE_DETAILS% flags=%RESPONSE_FLAGS% peer=%DOWNSTREAM_PEER_URI_SAN% since=%DOWNSTREAM_PEER_CERT_V_START% tls=%DOWNSTREAM_TLS_VERSION% sni=%REQUESTED_SERVER_NAME% baggage="%REQ(BAGGAGE)%" forwarded="%REQ(FORWARDED)%" traceparent=%REQ(TRACEPARENT)%',
    ),
  }
}

function terminator({ streamWindow, authorities = ['*'], filters = [] }: TerminateOptions): Json {
  const filterState = tunnelState(
    state('envoy.filters.listener.original_dst.local_ip', '%REQ(:AUTHORITY)%'),
    state('envoy.filters.listener.original_dst.remote_ip', '%DOWNSTREAM_REMOTE_ADDRESS%'),
    state(PEER_PRINCIPAL, '%DOWNSTREAM_PEER_URI_SAN%', { factory_key: 'envoy.hashable_string' }),
  )
  return connectionManager('connect_terminate', [...filters, filterState], {
    ...connectProtocol(streamWindow),
    route_config: {
      name: 'default',
      virtual_hosts: [{ name: 'default', domains: authorities, routes: [connectRoute(MAIN)] }],
    },
  })
}

const HBONE_PORT = 15_008
