import {
  accessLog,
  allowOnly,
  bootstrap,
  connectionManager,
  destinationMatch,
  endpointAt,
  extension,
  internalListener,
  type Json,
  MAIN,
  mainCluster,
  originateCluster,
  originateListener,
  PEER_PRINCIPAL,
  rbac,
  socketAddress,
  state,
  staticCluster,
  type TlsFiles,
  tcpProxy,
  terminateListener,
  tunnelledCluster,
} from '../../../src/sidecar/index.ts'
import { originateName, otherOrigins } from './envoy-client-config.ts'

/** A port of a service behind the waypoint. */
export interface BehindWaypoint {
  /** Of the service: what clients dial. */
  readonly vip: string
  readonly port: number
  /** The endpoint's `ip:port`. */
  readonly target: string
  /** Dial the endpoint plainly. Default false: through a tunnel. */
  readonly plain?: boolean
  /** Speak HTTP, and refuse {@link FORBIDDEN_PATH}. Default false: bytes as they come. */
  readonly http?: boolean
  /** Only these SPIFFE ids may connect. Default: any of the mesh. */
  readonly only?: readonly string[]
  /** Key of {@link WaypointConfig.origins}. Default: the waypoint's own certificate. */
  readonly origin?: string
}

export interface WaypointConfig {
  /** The waypoint's own. */
  readonly address: string
  readonly tls: TlsFiles
  /** A new connection to the endpoint for each tunnel. Default false: they share. */
  readonly unshared?: boolean
  /** Other certificates that it shows to endpoints. Default none. */
  readonly origins?: Readonly<Record<string, TlsFiles>>
  readonly services: readonly BehindWaypoint[]
}

/** A rule of HTTP: nothing below can know of it. */
export const FORBIDDEN_PATH = '/forbidden'
/** Port of a waypoint that has a proxy of ours in front of it. */
export const SANDWICH_PORT = 15_088

/** A waypoint (wire/istio 3.5), or an egress gateway: tunnels end here, and others begin. */
export function waypointBootstrap(config: WaypointConfig): Json {
  const { address, tls, services, unshared = false, origins = {} } = config
  const trustDomain = 'cluster.local'
  return bootstrap(
    [
      terminateListener({ addresses: [address], tls, trustDomain }),
      internalListener(MAIN, services.map(serviceChain)),
      originateListener(),
      ...Object.keys(origins).map((name) => originateListener(originateName(name))),
    ],
    [
      mainCluster(),
      originateCluster({ tls, trustDomain, unshared }),
      ...otherOrigins(origins),
      ...services.map(serviceCluster),
    ],
  )
}

/**
 * The same behind a proxy of ours (wire/istio 3.7): no TLS on either side, and
 * PROXY protocol says who comes. That proxy dials the loopback address of the
 * family in which the pod was reached.
 */
export function sandwichBootstrap(
  services: readonly BehindWaypoint[],
  loopback: '127.0.0.1' | '::1' = '127.0.0.1',
): Json {
  const listener = {
    name: 'sandwich',
    address: socketAddress(loopback, SANDWICH_PORT),
    listener_filters: [proxyProtocol()],
    filter_chains: services.map((service) => {
      const { filters, ...match } = serviceChain(service)
      return { ...match, filters: [principalOfHeader(), ...(filters as readonly Json[])] }
    }),
  }
  return bootstrap(
    [listener],
    services.map((service) => serviceCluster({ ...service, plain: true })),
  )
}

function serviceChain(service: BehindWaypoint): Json & { readonly filters: readonly Json[] } {
  return {
    name: nameOf(service),
    filter_chain_match: destinationMatch([service.vip], service.port),
    filters: service.http === true ? httpFilters(service) : tcpFilters(service),
  }
}

function tcpFilters(service: BehindWaypoint): readonly Json[] {
  const name = nameOf(service)
  const log = accessLog(`${name} from=%DOWNSTREAM_REMOTE_ADDRESS% peer=${PEER} flags=%RESPONSE_FLAGS%`)
  return [
    ...(service.only === undefined ? [] : [allowOnly('network', name, service.only)]),
    tcpProxy(name, log),
  ]
}

function httpFilters(service: BehindWaypoint): readonly Json[] {
  const name = nameOf(service)
  const forbidden = {
    permissions: [{ url_path: { path: { prefix: FORBIDDEN_PATH } } }],
    principals: [{ any: true }],
  }
  const filters = [
    rbac('http', name, 'DENY', forbidden),
    ...(service.only === undefined ? [] : [allowOnly('http', name, service.only)]),
  ]
  const header = (key: string, value: string): Json => ({ header: { key, value } })
  return [
    connectionManager(name, filters, {
      use_remote_address: false,
      route_config: {
        name,
        response_headers_to_add: [header('x-waypoint', name)],
        request_headers_to_add: [header('x-client-identity', PEER)],
        virtual_hosts: [
          {
            name: 'any',
            domains: ['*'],
            routes: [{ match: { prefix: '/' }, route: { cluster: name, timeout: '0s' } }],
          },
        ],
      },
      ...accessLog(`${name} path=%REQ(:PATH)% code=%RESPONSE_CODE% peer=${PEER} flags=%RESPONSE_FLAGS%`),
    }),
  ]
}

function serviceCluster(service: BehindWaypoint): Json {
  const { target, plain, origin } = service
  const originate = origin === undefined ? undefined : originateName(origin)
  if (plain !== true) return tunnelledCluster(nameOf(service), [{ target }], originate)
  const { hostname, port } = new URL(`tcp://${target}`)
  return staticCluster(nameOf(service), [endpointAt(hostname.replace(/[[\]]/g, ''), Number(port))])
}

/** Also the name of its cluster, for statistics. */
function nameOf({ vip, port }: BehindWaypoint): string {
  return `vip_${vip}_${port}`
}

function proxyProtocol(): Json {
  const rule = { tlv_type: PEER_TLV, on_tlv_present: { key: 'peer' } }
  return extension(PROXY_PROTOCOL, 'filters.listener.proxy_protocol.v3.ProxyProtocol', { rules: [rule] })
}

/** From PROXY protocol to where a tunnel would have left it. */
function principalOfHeader(): Json {
  const principal = state(PEER_PRINCIPAL, `%DYNAMIC_METADATA(${PROXY_PROTOCOL}:peer)%`, {
    factory_key: 'envoy.hashable_string',
  })
  return extension('envoy.filters.network.set_filter_state', 'filters.network.set_filter_state.v3.Config', {
    on_new_connection: [principal],
  })
}

const PEER = `%FILTER_STATE(${PEER_PRINCIPAL}:PLAIN)%`
const PROXY_PROTOCOL = 'envoy.filters.listener.proxy_protocol'
/** istio's: the SPIFFE id of the client. */
const PEER_TLV = 0xd0
