/** Building blocks of an Envoy bootstrap: stock extensions, in their JSON form. */

/** A part of Envoy's configuration in its JSON form. */
export type Json = { readonly [key: string]: unknown }

/** Port of Envoy's admin listener, on its pod's loopback. */
export const ADMIN_PORT = 15_000

/** Host metadata by which an internal listener knows where a connection goes. */
export const ORIGINAL_DST = 'envoy.filters.listener.original_dst'

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

/** An endpoint at an address. */
export function endpointAt(address: string, port: number): Json {
  return { endpoint: { address: socketAddress(address, port) } }
}

/** A cluster of fixed endpoints. */
export function staticCluster(name: string, endpoints: readonly Json[], more: Json = {}): Json {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '10s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] },
    ...UNLIMITED,
    ...more,
  }
}

/** A cluster whose only endpoint is another listener of the same Envoy. */
export function internalCluster(name: string, listener: string): Json {
  const address = { envoy_internal_address: { server_listener_name: listener } }
  return staticCluster(name, [{ endpoint: { address } }], { transport_socket: internalUpstream() })
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

/** A listener that only other parts of the same Envoy connect to; it knows the destination that they name. */
export function internalListener(name: string, filterChains: readonly Json[]): Json {
  return {
    name,
    internal_listener: {},
    listener_filters: [originalDestination()],
    filter_chains: filterChains,
  }
}

/** The listener filter that restores where a connection was going. */
export function originalDestination(): Json {
  return extension(ORIGINAL_DST, 'filters.listener.original_dst.v3.OriginalDst')
}

/** Bytes as they come, to a cluster. */
export function tcpProxy(cluster: string, more: Json = {}): Json {
  return extension('envoy.filters.network.tcp_proxy', 'filters.network.tcp_proxy.v3.TcpProxy', {
    stat_prefix: cluster,
    cluster,
    ...more,
  })
}

/** HTTP. `more` has at least the `route_config`. */
export function connectionManager(statPrefix: string, filters: readonly Json[], more: Json): Json {
  return extension(
    'envoy.filters.network.http_connection_manager',
    'filters.network.http_connection_manager.v3.HttpConnectionManager',
    {
      stat_prefix: statPrefix,
      http_filters: [...filters, extension('envoy.filters.http.router', 'filters.http.router.v3.Router')],
      ...more,
    },
  )
}

/** The match of a filter chain for one port of some addresses. */
export function destinationMatch(addresses: readonly string[], port: number): Json {
  return {
    destination_port: port,
    prefix_ranges: addresses.map((address) => ({
      address_prefix: address,
      prefix_len: address.includes(':') ? 128 : 32,
    })),
  }
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

/** Lets a connection or request pass only if it comes from one of some SPIFFE ids, as 15008 proved them. */
export function allowOnly(layer: 'network' | 'http', statPrefix: string, ids: readonly string[]): Json {
  const principals = ids.map((id) => ({ filter_state: { key: PEER_PRINCIPAL, string_match: { exact: id } } }))
  return rbac(layer, statPrefix, 'ALLOW', { permissions: [{ any: true }], principals })
}

/** An RBAC filter with one policy. Only the network layer's has a statistics prefix of its own. */
export function rbac(
  layer: 'network' | 'http',
  statPrefix: string,
  action: 'ALLOW' | 'DENY',
  policy: Json,
): Json {
  const rules = { action, policies: { only: policy } }
  return extension(`envoy.filters.${layer}.rbac`, `filters.${layer}.rbac.v3.RBAC`, {
    ...(layer === 'network' ? { stat_prefix: statPrefix } : {}),
    rules,
  })
}

/** Who an Envoy is, in its own metrics and to whom it asks for configuration. */
export interface EnvoyNode {
  readonly id: string
  readonly cluster: string
}

/** A whole bootstrap, with Envoy's own metrics and administration on loopback only. */
export function bootstrap(
  listeners: readonly Json[],
  clusters: readonly Json[],
  // Without one, Envoy reads no SDS, not even out of a file.
  node: EnvoyNode = { id: 'envoy', cluster: 'envoy' },
): Json {
  return {
    node,
    admin: { address: socketAddress('127.0.0.1', ADMIN_PORT) },
    bootstrap_extensions: [
      extension('envoy.bootstrap.internal_listener', 'bootstrap.internal_listener.v3.InternalListener', {
        buffer_size_kb: 64,
      }),
    ],
    static_resources: { listeners, clusters },
  }
}

/** Filter state in which the SPIFFE id of the peer is kept that 15008 proved. */
export const PEER_PRINCIPAL = 'io.istio.peer_principal'

const TYPES = 'type.googleapis.com/envoy.extensions'
