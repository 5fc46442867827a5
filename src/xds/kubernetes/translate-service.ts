import type { AppProtocol, LoadBalancing, Service as MeshService, RoutingScope } from '../../mesh/model.ts'
import type { Service, ServicePort } from './objects.ts'
import type { TranslateContext } from './translate-context.ts'
import { waypointOf } from './waypoint-bindings.ts'

/** A service as istiod's ambient index makes it. Undefined for an ExternalName, which is an alias and no service. */
export function translateService(service: Service, context: TranslateContext): MeshService | undefined {
  const { metadata, spec } = service
  if (spec.type === 'ExternalName') return undefined
  if (spec.clusterIPs.length === 0 && !spec.headless) {
    const message = 'not set, and nothing here assigns one: the service has a name but no virtual address'
    context.warn(service, 'spec.clusterIP', message)
  }
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    hostname: hostnameOf(service, context),
    addresses: spec.clusterIPs.map((address) => ({ network: context.network, address })),
    cidrs: [],
    ports: spec.ports
      .filter(({ protocol }) => protocol === 'TCP')
      .map((port) => ({
        servicePort: port.port,
        targetPort: typeof port.targetPort === 'number' ? port.targetPort : 0,
        appProtocol: appProtocolOf(port),
      })),
    subjectAltNames: [],
    waypoint: waypointOf(
      { object: service, kind: 'service', namespace: metadata.namespace, labels: metadata.labels },
      context,
    ),
    weightedWaypoints: [],
    loadBalancing: loadBalancingOf(service, context),
    ipFamilies: ipFamiliesOf(service),
    canonical: true,
    visibility: 'PUBLIC',
  }
}

/** `<name>.<namespace>.svc.<domain>` */
export function hostnameOf({ metadata }: Service, context: TranslateContext): string {
  return `${metadata.name}.${metadata.namespace}.svc.${context.domain}`
}

/** By `appProtocol`, else by the port's name up to the first dash, as Istio selects protocols. */
export function appProtocolOf(port: Pick<ServicePort, 'name' | 'appProtocol'>): AppProtocol {
  const named = port.appProtocol ?? port.name.split('-')[0] ?? ''
  return APP_PROTOCOLS.get(named.toLowerCase()) ?? 'UNKNOWN'
}

const APP_PROTOCOLS: ReadonlyMap<string, AppProtocol> = new Map([
  ['http', 'HTTP11'],
  ['kubernetes.io/ws', 'HTTP11'],
  ['http2', 'HTTP2'],
  ['kubernetes.io/h2c', 'HTTP2'],
  ['grpc', 'GRPC'],
  ['https', 'TLS'],
  ['tls', 'TLS'],
  ['tcp', 'TCP'],
])

const DISTRIBUTION_ANNOTATION = 'networking.istio.io/traffic-distribution'
const SAME_ZONE: readonly RoutingScope[] = ['NETWORK', 'REGION', 'ZONE']
const DISTRIBUTIONS: ReadonlyMap<string, readonly RoutingScope[]> = new Map([
  ['PreferClose', SAME_ZONE],
  ['PreferSameZone', SAME_ZONE],
  ['PreferSameNode', [...SAME_ZONE, 'SUBZONE', 'NODE']],
])

function loadBalancingOf(service: Service, { objects, warn }: TranslateContext): LoadBalancing {
  const { metadata, spec } = service
  const healthPolicy = spec.publishNotReadyAddresses ? 'ALLOW_ALL' : 'ONLY_HEALTHY'
  if (spec.internalTrafficPolicy === 'Local')
    return { routingPreference: ['NODE'], mode: 'STRICT', healthPolicy }
  const distribution =
    spec.trafficDistribution ??
    metadata.annotations[DISTRIBUTION_ANNOTATION] ??
    objects.namespaces.get(metadata.namespace)?.metadata.annotations[DISTRIBUTION_ANNOTATION]
  if (distribution === undefined) return { routingPreference: [], mode: 'STANDARD', healthPolicy }
  const routingPreference = DISTRIBUTIONS.get(distribution)
  if (routingPreference === undefined) {
    warn(
      service,
      'spec.trafficDistribution',
      `"${distribution}" is not known: expected ${[...DISTRIBUTIONS.keys()].join(', ')}`,
    )
    return { routingPreference: [], mode: 'STANDARD', healthPolicy }
  }
  return { routingPreference, mode: 'FAILOVER', healthPolicy }
}

function ipFamiliesOf({ spec: { ipFamilies } }: Service): MeshService['ipFamilies'] {
  if (ipFamilies.length > 1) return 'DUAL'
  if (ipFamilies[0] === 'IPv4') return 'IPV4_ONLY'
  return ipFamilies[0] === 'IPv6' ? 'IPV6_ONLY' : 'AUTOMATIC'
}
