import type { Workload as WorkloadMessage } from '../gen/istio/workload/workload_pb.ts'
import type {
  ApplicationTunnel,
  HealthStatus,
  Locality,
  NetworkMode,
  Port,
  ServiceKey,
  TunnelProtocol,
  Workload,
  WorkloadType,
} from '../mesh/model.ts'
import {
  decodeEnum,
  decodeGateway,
  decodePorts,
  decodeServiceKey,
  invalid,
  requireAddress,
  toPort,
} from './decode-fields.ts'
import type { Interner } from './interner.ts'

/** In the order of their numbers on the wire. */
const WORKLOAD_TYPES: readonly WorkloadType[] = ['DEPLOYMENT', 'CRONJOB', 'POD', 'JOB']
const HEALTH_STATUSES: readonly HealthStatus[] = ['HEALTHY', 'UNHEALTHY']
const NETWORK_MODES: readonly NetworkMode[] = ['STANDARD', 'HOST_NETWORK']
const TUNNEL_PROTOCOLS: readonly TunnelProtocol[] = ['NONE', 'HBONE']
const APPLICATION_TUNNEL_PROTOCOLS: readonly ApplicationTunnel['protocol'][] = ['NONE', 'PROXY']

/** What an absent value means (Istio's workload API). */
export const DEFAULT_TRUST_DOMAIN = 'cluster.local'
export const DEFAULT_SERVICE_ACCOUNT = 'default'
export const DEFAULT_CLUSTER = 'Kubernetes'

/**
 * A workload as the mesh model has it. `name` is its resource's, which mostly is its uid: one text is kept for both.
 * Throws `XdsError` (`invalid-resource`).
 */
export function decodeWorkload(message: WorkloadMessage, interner: Interner, name = ''): Workload {
  const text = (value: string) => interner.intern(value)
  return Object.freeze({
    uid: message.uid === name ? name : message.uid,
    name: message.name,
    namespace: text(message.namespace),
    serviceAccount: text(message.serviceAccount || DEFAULT_SERVICE_ACCOUNT),
    trustDomain: text(message.trustDomain || DEFAULT_TRUST_DOMAIN),
    addresses: message.addresses.map(requireAddress),
    hostname: text(message.hostname),
    network: text(message.network),
    node: text(message.node),
    clusterId: text(message.clusterId || DEFAULT_CLUSTER),
    tunnelProtocol: decodeTunnelProtocol(message.tunnelProtocol),
    nativeTunnel: message.nativeTunnel,
    applicationTunnel: decodeApplicationTunnel(message.applicationTunnel),
    waypoint: decodeGateway(message.waypoint),
    networkGateway: decodeGateway(message.networkGateway),
    networkMode: decodeEnum(NETWORK_MODES, message.networkMode, 'network_mode'),
    workloadName: text(message.workloadName),
    workloadType: decodeEnum(WORKLOAD_TYPES, message.workloadType, 'workload_type'),
    canonicalName: text(message.canonicalName),
    canonicalRevision: text(message.canonicalRevision),
    services: decodeServices(message.services, interner),
    authorizationPolicies: message.authorizationPolicies.map(text),
    status: decodeEnum(HEALTH_STATUSES, message.status, 'status'),
    locality: decodeLocality(message.locality, text),
    capacity: message.capacity ?? 1,
  })
}

const LEGACY_ISTIO_MTLS = 2
const NOWHERE: Locality = Object.freeze({ region: '', zone: '', subzone: '' })

function decodeTunnelProtocol(value: number): TunnelProtocol {
  if (value === LEGACY_ISTIO_MTLS) throw invalid('tunnel protocol LEGACY_ISTIO_MTLS is not supported')
  return decodeEnum(TUNNEL_PROTOCOLS, value, 'tunnel_protocol')
}

function decodeApplicationTunnel(
  message: WorkloadMessage['applicationTunnel'],
): ApplicationTunnel | undefined {
  if (message === undefined) return undefined
  const protocol = decodeEnum(APPLICATION_TUNNEL_PROTOCOLS, message.protocol, 'application_tunnel.protocol')
  return { protocol, port: toPort(message.port) || undefined }
}

function decodeServices(
  messages: WorkloadMessage['services'],
  interner: Interner,
): ReadonlyMap<ServiceKey, readonly Port[]> {
  const services = new Map<ServiceKey, readonly Port[]>()
  for (const [key, list] of Object.entries(messages)) {
    services.set(decodeServiceKey(key, interner), decodePorts(list.ports))
  }
  return services
}

function decodeLocality(message: WorkloadMessage['locality'], text: (value: string) => string): Locality {
  if (message === undefined) return NOWHERE
  return { region: text(message.region), zone: text(message.zone), subzone: text(message.subzone) }
}
