import type {
  LoadBalancing as LoadBalancingMessage,
  Service as ServiceMessage,
  WeightedWaypoint as WeightedWaypointMessage,
} from '../gen/istio/workload/workload_pb.ts'
import { parseSpiffeId } from '../identity/spiffe-id.ts'
import type {
  LoadBalancing,
  NetworkAddress,
  NetworkCidr,
  RoutingScope,
  Service,
  WeightedWaypoint,
} from '../mesh/model.ts'
import { decodeEnum, decodeGateway, decodeNetworkAddress, decodePorts, invalid } from './decode-fields.ts'
import type { Interner } from './interner.ts'
import { cidrFromBytes } from './ip-bytes.ts'

/** In the order of their numbers on the wire; the first scope, unspecified, is refused. */
const ROUTING_SCOPES: readonly (RoutingScope | 'UNSPECIFIED_SCOPE')[] = [
  'UNSPECIFIED_SCOPE',
  'REGION',
  'ZONE',
  'SUBZONE',
  'NODE',
  'CLUSTER',
  'NETWORK',
]
const LOAD_BALANCING_MODES: readonly LoadBalancing['mode'][] = [
  'STANDARD',
  'STRICT',
  'FAILOVER',
  'PASSTHROUGH',
]
const HEALTH_POLICIES: readonly LoadBalancing['healthPolicy'][] = ['ONLY_HEALTHY', 'ALLOW_ALL']
const IP_FAMILIES: readonly Service['ipFamilies'][] = ['AUTOMATIC', 'IPV4_ONLY', 'IPV6_ONLY', 'DUAL']
const VISIBILITIES: readonly Service['visibility'][] = ['PUBLIC', 'NAMESPACE']

/** A service as the mesh model has it. Throws `XdsError` (`invalid-resource`). */
export function decodeService(message: ServiceMessage, interner: Interner): Service {
  const { addresses, cidrs } = decodeVirtualAddresses(message)
  return Object.freeze({
    name: message.name,
    namespace: interner.intern(message.namespace),
    hostname: message.hostname,
    addresses,
    cidrs,
    ports: decodePorts(message.ports),
    subjectAltNames: message.subjectAltNames.filter((name) => parseSpiffeId(name) !== undefined),
    waypoint: decodeGateway(message.waypoint),
    weightedWaypoints: message.weightedWaypoints.map(decodeWeightedWaypoint),
    loadBalancing: decodeLoadBalancing(message.loadBalancing),
    ipFamilies: decodeEnum(IP_FAMILIES, message.ipFamilies, 'ip_families'),
    canonical: message.canonical,
    visibility: VISIBILITIES[message.visibility] ?? 'PUBLIC',
  })
}

const STANDARD: LoadBalancing = Object.freeze({
  routingPreference: Object.freeze([]),
  mode: 'STANDARD',
  healthPolicy: 'ONLY_HEALTHY',
})

function decodeVirtualAddresses(message: ServiceMessage): {
  addresses: NetworkAddress[]
  cidrs: NetworkCidr[]
} {
  const addresses: NetworkAddress[] = []
  const cidrs: NetworkCidr[] = []
  for (const entry of message.addresses) {
    const whole = decodeNetworkAddress(entry)
    if (entry.length === undefined || entry.length === entry.address.length * 8) {
      addresses.push(whole)
      continue
    }
    const cidr = cidrFromBytes(entry.address, entry.length)
    if (cidr === undefined) throw invalid(`invalid CIDR prefix length ${entry.length} of ${whole.address}`)
    cidrs.push({ network: whole.network, cidr })
  }
  return { addresses, cidrs }
}

function decodeWeightedWaypoint(message: WeightedWaypointMessage): WeightedWaypoint {
  const destination = decodeGateway(message.destination)
  if (destination === undefined) throw invalid('weighted waypoint has no destination')
  return { destination, weight: message.weight }
}

function decodeLoadBalancing(message: LoadBalancingMessage | undefined): LoadBalancing {
  if (message === undefined) return STANDARD
  return {
    routingPreference: message.routingPreference.map(decodeScope),
    mode: decodeEnum(LOAD_BALANCING_MODES, message.mode, 'load_balancing.mode'),
    healthPolicy: decodeEnum(HEALTH_POLICIES, message.healthPolicy, 'load_balancing.health_policy'),
  }
}

function decodeScope(value: number): RoutingScope {
  const scope = decodeEnum(ROUTING_SCOPES, value, 'load_balancing.routing_preference')
  if (scope === 'UNSPECIFIED_SCOPE') throw invalid('invalid routing preference UNSPECIFIED_SCOPE')
  return scope
}
