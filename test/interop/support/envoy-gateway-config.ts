import {
  bootstrap,
  connectionManager,
  connectProtocol,
  connectRoute,
  downstreamTls,
  endpointAt,
  type Json,
  originateCluster,
  originateListener,
  socketAddress,
  staticCluster,
  type TlsFiles,
  type TunnelTarget,
  tcpProxy,
  tunnelledCluster,
} from '../../../src/sidecar/index.ts'
import { originateName, otherOrigins } from './envoy-client-config.ts'

/** A port of an ingress gateway, and the pod or the service behind a waypoint that it leads to. */
export interface IngressPort extends TunnelTarget {
  readonly port: number
  /** Speak HTTP. Default false: bytes as they come. */
  readonly http?: boolean
  /** Key of `origins`. Default: the gateway's own certificate. */
  readonly origin?: string
}

/** What an east-west gateway knows: where the tunnels for a service of its network go. */
export interface GlobalService {
  /** `host:port`, the authority of both CONNECTs. */
  readonly authority: string
  /** Where the inner tunnel ends, `ip`; its 15008 is dialled. */
  readonly endpoint: string
}

interface GatewayConfig {
  /** The gateway's own. */
  readonly address: string
  readonly tls: TlsFiles
}

/** Plain connections in, tunnels out (wire/istio 3.3). */
export function ingressBootstrap({
  address,
  tls,
  ports,
  unshared = false,
  origins = {},
}: GatewayConfig & {
  readonly ports: readonly IngressPort[]
  /** A new connection for each tunnel. Default false: they share. */
  readonly unshared?: boolean
  /** Other certificates that it shows. Default none. */
  readonly origins?: Readonly<Record<string, TlsFiles>>
}): Json {
  const trustDomain = 'cluster.local'
  return bootstrap(
    [
      ...ports.map((port) => ingressListener(address, port)),
      originateListener(),
      ...Object.keys(origins).map((name) => originateListener(originateName(name))),
    ],
    [
      originateCluster({ tls, trustDomain, unshared }),
      ...otherOrigins(origins),
      ...ports.map((port) =>
        tunnelledCluster(
          `ingress_${port.port}`,
          [port],
          port.origin === undefined ? undefined : originateName(port.origin),
        ),
      ),
    ],
  )
}

/** Outer tunnels end here; the inner ones are bytes that go on to 15008 of a pod (wire/istio 3.6). */
export function eastWestBootstrap({
  address,
  tls,
  services,
}: GatewayConfig & { readonly services: readonly GlobalService[] }): Json {
  const filters = [
    connectionManager('east_west', [], {
      ...connectProtocol(undefined),
      route_config: {
        name: 'services',
        virtual_hosts: services.map(({ authority }) => ({
          name: authority,
          domains: [authority],
          routes: [connectRoute(authority)],
        })),
      },
    }),
  ]
  const listener = {
    name: 'east_west',
    address: socketAddress(address, 15_008),
    filter_chains: [{ transport_socket: downstreamTls(tls, 'cluster.local'), filters }],
  }
  return bootstrap(
    [listener],
    services.map(({ authority, endpoint }) => staticCluster(authority, [endpointAt(endpoint, 15_008)])),
  )
}

function ingressListener(address: string, { port, http }: IngressPort): Json {
  const name = `ingress_${port}`
  const routes = [{ match: { prefix: '/' }, route: { cluster: name, timeout: '0s' } }]
  const filter =
    http === true
      ? connectionManager(name, [], {
          route_config: { name, virtual_hosts: [{ name, domains: ['*'], routes }] },
        })
      : tcpProxy(name)
  return { name, address: socketAddress(address, port), filter_chains: [{ filters: [filter] }] }
}
