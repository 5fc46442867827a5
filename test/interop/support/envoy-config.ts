/** What both sides of Envoy's HBONE share, as istiod generates it (wire/istio 3.1, 3.8). */

/** A part of Envoy's configuration in its JSON form. */
export type Json = { readonly [key: string]: unknown }

/** Files of one identity; all but the roots are absent for a peer without a certificate. */
export interface TlsFiles {
  readonly chain?: string
  readonly key?: string
  readonly roots: string
}

/** Port of each Envoy's admin listener, on its pod's loopback. */
export const ADMIN_PORT = 15000

const TYPES = 'type.googleapis.com/envoy.extensions'

/** A `typed_config` of one of Envoy's own extensions. */
export function typed(type: string, config: Json = {}): Json {
  return { '@type': `${TYPES}.${type}`, ...config }
}

/** A named extension. */
export function extension(name: string, type: string, config: Json = {}): Json {
  return { name, typed_config: typed(type, config) }
}

export function socketAddress(address: string, port: number): Json {
  return { socket_address: { address, port_value: port } }
}

/** TLS of every HBONE leg: 1.3 only, ALPN h2, and of the peer's identity only the trust domain is looked at. */
export function commonTls({ chain, key, roots }: TlsFiles, alpn: readonly string[] = ['h2']): Json {
  return {
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
    alpn_protocols: alpn,
    ...(chain === undefined
      ? {}
      : { tls_certificates: [{ certificate_chain: { filename: chain }, private_key: { filename: key } }] }),
    validation_context: {
      trusted_ca: { filename: roots },
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: 'spiffe://cluster.local/' } }],
    },
  }
}

/** A cluster with one fixed endpoint. */
export function staticCluster(name: string, endpoint: Json, more: Json = {}): Json {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '10s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
    ...UNLIMITED,
    ...more,
  }
}

/** Into another listener of the same Envoy; `passthrough` names host metadata to hand over. */
export function internalUpstream(passthrough: readonly string[] = []): Json {
  return extension(
    'envoy.transport_sockets.internal_upstream',
    'transport_sockets.internal_upstream.v3.InternalUpstreamTransport',
    {
      ...(passthrough.length === 0
        ? {}
        : { passthrough_metadata: passthrough.map((name) => ({ kind: { host: {} }, name })) }),
      transport_socket: extension(
        'envoy.transport_sockets.raw_buffer',
        'transport_sockets.raw_buffer.v3.RawBuffer',
      ),
    },
  )
}

export function internalListener(name: string, filterChains: readonly Json[]): Json {
  return {
    name,
    internal_listener: {},
    listener_filters: [
      extension('envoy.filters.listener.original_dst', 'filters.listener.original_dst.v3.OriginalDst'),
    ],
    filter_chains: filterChains,
  }
}

export function tcpProxy(cluster: string, more: Json = {}): Json {
  return extension('envoy.filters.network.tcp_proxy', 'filters.network.tcp_proxy.v3.TcpProxy', {
    stat_prefix: cluster,
    cluster,
    ...more,
  })
}

/** One line on standard output for each request or connection. */
export function accessLog(format: string): Json {
  return {
    access_log: [
      extension('envoy.access_loggers.stdout', 'access_loggers.stream.v3.StdoutAccessLog', {
        log_format: { text_format_source: { inline_string: `${format}\n` } },
      }),
    ],
  }
}

/** A whole bootstrap. */
export function bootstrap(listeners: readonly Json[], clusters: readonly Json[]): Json {
  return {
    admin: { address: socketAddress('127.0.0.1', ADMIN_PORT) },
    bootstrap_extensions: [
      extension('envoy.bootstrap.internal_listener', 'bootstrap.internal_listener.v3.InternalListener', {
        buffer_size_kb: 64,
      }),
    ],
    static_resources: { listeners, clusters },
  }
}

/** istiod lifts the limits of each cluster; Envoy's own are 1024. */
export const UNLIMITED: Json = {
  circuit_breakers: {
    thresholds: [
      {
        max_connections: 0xffffffff,
        max_pending_requests: 0xffffffff,
        max_requests: 0xffffffff,
        max_retries: 0xffffffff,
      },
    ],
  },
}
