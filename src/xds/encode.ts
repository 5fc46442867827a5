import { create, type MessageInitShape, type MessageShape, toBinary } from '@bufbuild/protobuf'
import {
  Action,
  AuthorizationSchema,
  type MatchSchema,
  Scope,
} from '../gen/istio/security/authorization_pb.ts'
import {
  AddressSchema,
  ApplicationTunnel_Protocol,
  AppProtocol,
  GatewayAddressSchema,
  IPFamilies,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  NetworkAddressSchema,
  NetworkMode,
  PortListSchema,
  PortSchema,
  ServiceVisibility,
  TunnelProtocol,
  WeightedWaypointSchema,
  WorkloadStatus,
  WorkloadType,
} from '../gen/istio/workload/workload_pb.ts'
import type {
  AuthorizationPolicy,
  GatewayAddress,
  PolicyMatch,
  Port,
  Service,
  StringMatch,
  Workload,
} from '../mesh/model.ts'
import { DEFAULT_TRUST_DOMAIN } from './decode-workload.ts'
import { addressToBytes, cidrToBytes } from './ip-bytes.ts'

type Bytes = Uint8Array<ArrayBuffer>

/** A workload as the bytes of an Address resource: equal workloads give equal bytes. */
export function encodeWorkload(workload: Workload): Bytes {
  const services = [...workload.services].sort(([a], [b]) => (a < b ? -1 : 1))
  const address = create(AddressSchema, {
    type: {
      case: 'workload',
      value: {
        uid: workload.uid,
        name: workload.name,
        namespace: workload.namespace,
        addresses: workload.addresses.map(addressToBytes),
        hostname: workload.hostname,
        network: workload.network,
        tunnelProtocol: TunnelProtocol[workload.tunnelProtocol],
        // istiod leaves the default trust domain out.
        trustDomain: workload.trustDomain === DEFAULT_TRUST_DOMAIN ? '' : workload.trustDomain,
        serviceAccount: workload.serviceAccount,
        ...optional('waypoint', encodeGateway(workload.waypoint)),
        ...optional('networkGateway', encodeGateway(workload.networkGateway)),
        node: workload.node,
        canonicalName: workload.canonicalName,
        canonicalRevision: workload.canonicalRevision,
        workloadType: WorkloadType[workload.workloadType],
        workloadName: workload.workloadName,
        nativeTunnel: workload.nativeTunnel,
        ...optional('applicationTunnel', encodeApplicationTunnel(workload)),
        services: Object.fromEntries(services.map(([key, ports]) => [key, encodePortList(ports)])),
        authorizationPolicies: [...workload.authorizationPolicies],
        status: WorkloadStatus[workload.status],
        clusterId: workload.clusterId,
        ...optional('locality', encodeLocality(workload)),
        networkMode: NetworkMode[workload.networkMode],
        ...optional('capacity', workload.capacity === 1 ? undefined : workload.capacity),
      },
    },
  })
  return toBinary(AddressSchema, address)
}

/** A service as the bytes of an Address resource: equal services give equal bytes. */
export function encodeService(service: Service): Bytes {
  const whole = service.addresses.map(({ network, address }) => ({
    network,
    address: addressToBytes(address),
  }))
  const blocks = service.cidrs.map(({ network, cidr }) => ({ network, ...cidrToBytes(cidr) }))
  const address = create(AddressSchema, {
    type: {
      case: 'service',
      value: {
        name: service.name,
        namespace: service.namespace,
        hostname: service.hostname,
        addresses: [...whole, ...blocks].map((entry) => create(NetworkAddressSchema, entry)),
        ports: service.ports.map(encodePort),
        subjectAltNames: [...service.subjectAltNames],
        ...optional('waypoint', encodeGateway(service.waypoint)),
        weightedWaypoints: service.weightedWaypoints.map(({ destination, weight }) =>
          create(WeightedWaypointSchema, { ...optional('destination', encodeGateway(destination)), weight }),
        ),
        ...optional('loadBalancing', encodeLoadBalancing(service)),
        ipFamilies: IPFamilies[service.ipFamilies],
        canonical: service.canonical,
        visibility: ServiceVisibility[service.visibility],
      },
    },
  })
  return toBinary(AddressSchema, address)
}

/** A policy as the bytes of an Authorization resource: equal policies give equal bytes. */
export function encodeAuthorization(policy: AuthorizationPolicy): Bytes {
  const message = create(AuthorizationSchema, {
    name: policy.name,
    namespace: policy.namespace,
    scope: Scope[policy.scope],
    action: Action[policy.action],
    dryRun: policy.dryRun,
    rules: policy.rules.map((clauses) => ({
      clauses: clauses.map((matches) => ({ matches: matches.map(encodeMatch) })),
    })),
  })
  return toBinary(AuthorizationSchema, message)
}

/** A match as a message. */
export function encodeMatch(match: PolicyMatch): MessageInitShape<typeof MatchSchema> {
  return {
    namespaces: match.namespaces.map(encodeString),
    notNamespaces: match.notNamespaces.map(encodeString),
    principals: match.principals.map(encodeString),
    notPrincipals: match.notPrincipals.map(encodeString),
    sourceIps: match.sourceIps.map(cidrToBytes),
    notSourceIps: match.notSourceIps.map(cidrToBytes),
    destinationIps: match.destinationIps.map(cidrToBytes),
    notDestinationIps: match.notDestinationIps.map(cidrToBytes),
    destinationPorts: [...match.destinationPorts],
    notDestinationPorts: [...match.notDestinationPorts],
    serviceAccounts: match.serviceAccounts.map((account) => ({ ...account })),
    notServiceAccounts: match.notServiceAccounts.map((account) => ({ ...account })),
  }
}

/** A text matcher as a message. */
export function encodeString(match: StringMatch) {
  if (match.kind === 'presence') return { matchType: { case: 'presence' as const, value: {} } }
  return { matchType: { case: match.kind, value: match.value } }
}

function encodeGateway(
  gateway: GatewayAddress | undefined,
): MessageShape<typeof GatewayAddressSchema> | undefined {
  if (gateway === undefined) return undefined
  const { hboneMtlsPort } = gateway
  if (gateway.kind === 'hostname') {
    const { namespace, hostname } = gateway
    const destination = { case: 'hostname' as const, value: { namespace, hostname } }
    return create(GatewayAddressSchema, { hboneMtlsPort, destination })
  }
  const value = { network: gateway.network, address: addressToBytes(gateway.address) }
  return create(GatewayAddressSchema, { hboneMtlsPort, destination: { case: 'address', value } })
}

function encodePortList(ports: readonly Port[]) {
  return create(PortListSchema, { ports: ports.map(encodePort) })
}

function encodePort({ servicePort, targetPort, appProtocol }: Port) {
  return create(PortSchema, { servicePort, targetPort, appProtocol: AppProtocol[appProtocol] })
}

function encodeApplicationTunnel({ applicationTunnel }: Workload) {
  if (applicationTunnel === undefined) return undefined
  const protocol = ApplicationTunnel_Protocol[applicationTunnel.protocol]
  return { protocol, port: applicationTunnel.port ?? 0 }
}

function encodeLocality({ locality: { region, zone, subzone } }: Workload) {
  return region === '' && zone === '' && subzone === '' ? undefined : { region, zone, subzone }
}

function encodeLoadBalancing({ loadBalancing: { routingPreference, mode, healthPolicy } }: Service) {
  if (routingPreference.length === 0 && mode === 'STANDARD' && healthPolicy === 'ONLY_HEALTHY')
    return undefined
  return {
    routingPreference: routingPreference.map((scope) => LoadBalancing_Scope[scope]),
    mode: LoadBalancing_Mode[mode === 'STANDARD' ? 'UNSPECIFIED_MODE' : mode],
    healthPolicy: LoadBalancing_HealthPolicy[healthPolicy],
  }
}

/** A field that is left out rather than set to undefined. */
function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  const field: { [P in K]?: V } = {}
  if (value !== undefined) field[key] = value
  return field
}
