import {
  accessLog,
  allowOnly,
  destinationMatch,
  endpointAt,
  extension,
  type Json,
  originalDestination,
  socketAddress,
  staticCluster,
  tcpProxy,
} from './envoy.ts'
import { legacyTls, type TlsFiles } from './tls.ts'

/** A port of the pod's application. */
export interface ServedPort {
  readonly port: number
  /** Only these SPIFFE ids may connect. Default: any of the mesh. */
  readonly only?: readonly string[]
}

export interface InboundOptions {
  /** The pod's. The first one is where the application is dialled. */
  readonly addresses: readonly string[]
  /** Others have no filter chain: what comes for them is closed. */
  readonly ports: readonly ServedPort[]
}

export interface LegacyOptions extends InboundOptions {
  readonly tls: TlsFiles
  readonly trustDomain: string
  /** Take nothing but mutual TLS: PeerAuthentication's STRICT. Default: plaintext as well. */
  readonly strict: boolean
  /**
   * How long the first byte is waited for that tells plaintext from TLS; a
   * server that speaks first is dialled only then. Default `5s`.
   */
  readonly detectionTimeout?: string
  /** Authorization for all ports, before each one's own. Default none. */
  readonly filters?: readonly Json[]
}

/** Filter chains of a sidecar for what came out of a tunnel (wire/istio 3.4): no TLS any more, authorization only. */
export function inboundChains({ addresses, ports }: InboundOptions): readonly Json[] {
  return ports.map((served) => ({
    name: `port_${served.port}`,
    filter_chain_match: destinationMatch(addresses, served.port),
    filters: portFilters(served),
  }))
}

/** Clusters to the application. */
export function inboundClusters({ addresses, ports }: InboundOptions): readonly Json[] {
  const [address = ''] = addresses
  return ports.map(({ port }) => staticCluster(inboundCluster(port), [endpointAt(address, port)]))
}

/**
 * 15006: what is redirected to the sidecar because it was not HBONE, that is
 * plaintext and the mutual TLS of other sidecars. A connection that is
 * neither of what it takes matches no filter chain and is closed.
 */
export function legacyListener({
  tls,
  trustDomain,
  strict,
  ports,
  addresses,
  detectionTimeout = '5s',
  filters = [],
}: LegacyOptions): Json {
  const chain = (served: ServedPort, transport: 'tls' | 'raw_buffer', more: Json = {}): Json => ({
    name: `${transport}_${served.port}`,
    filter_chain_match: { destination_port: served.port, transport_protocol: transport },
    ...more,
    filters: [...filters, ...portFilters(served)],
  })
  const dual = addresses.some((address) => address.includes(':'))
  return {
    name: 'virtualInbound',
    address: dual
      ? { socket_address: { address: '::', port_value: LEGACY_PORT, ipv4_compat: true } }
      : socketAddress('0.0.0.0', LEGACY_PORT),
    listener_filters: [
      originalDestination(),
      extension('envoy.filters.listener.tls_inspector', 'filters.listener.tls_inspector.v3.TlsInspector'),
    ],
    listener_filters_timeout: detectionTimeout,
    continue_on_listener_filters_timeout: true,
    filter_chains: ports.flatMap((served) => [
      chain(served, 'tls', { transport_socket: legacyTls(tls, trustDomain) }),
      ...(strict ? [] : [chain(served, 'raw_buffer')]),
    ]),
    ...accessLog('legacy flags=%RESPONSE_FLAGS% details=%CONNECTION_TERMINATION_DETAILS%'),
  }
}

function portFilters({ port, only }: ServedPort): readonly Json[] {
  return [
    ...(only === undefined ? [] : [allowOnly('network', inboundCluster(port), only)]),
    tcpProxy(
      inboundCluster(port),
      accessLog(
        `inbound ${port} flags=%RESPONSE_FLAGS% peer=%DOWNSTREAM_PEER_URI_SAN% up=%BYTES_SENT% down=%BYTES_RECEIVED% end=%CONNECTION_TERMINATION_DETAILS%`,
      ),
    ),
  ]
}

function inboundCluster(port: number): string {
  return `inbound_${port}`
}

const LEGACY_PORT = 15_006
