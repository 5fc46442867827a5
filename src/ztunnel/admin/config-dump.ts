import { type MeshView, policyName, serviceKey } from '../../mesh/index.ts'
import type {
  AuthorizationPolicy,
  GatewayAddress,
  PolicyMatch,
  Port,
  Service,
  StringMatch,
  Workload,
} from '../../mesh/model.ts'

/** What `/config_dump` shows besides the mesh; each as JSON can hold it. */
export interface DumpSources {
  /** As wire/ztunnel 13.1 has them; the dump sorts them by identity. */
  certificates(): unknown
  /** Without secrets. */
  config(): unknown
  readonly mesh: MeshView
  /** By uid; undefined in dedicated mode. */
  workloadState(): Promise<unknown>
  readonly version: unknown
  /** What another kind of proxy has besides, by its key. */
  others?(): Readonly<Record<string, unknown>>
}

/**
 * The proxy's whole state, in the shape that `istioctl ztunnel-config` reads
 * (wire/ztunnel 13.1): keys in alphabetical order, lists sorted by their keys,
 * fields at their default left out where ztunnel leaves them out.
 */
export async function configDump(sources: DumpSources): Promise<Record<string, unknown>> {
  const { mesh } = sources
  const workloadState = await sources.workloadState()
  return {
    certificates: sources.certificates(),
    config: sources.config(),
    policies: sortedBy([...mesh.policies()], policyName).map(dumpPolicy),
    services: sortedBy([...mesh.services()], serviceKey).map((service) => dumpService(service, mesh)),
    stagedServices: {},
    staticConfig: {},
    version: sources.version,
    workloadState,
    workloads: sortedBy([...mesh.workloads()], ({ uid }) => uid).map(dumpWorkload),
    ...sources.others?.(),
  }
}

export function dumpWorkload(workload: Workload): Record<string, unknown> {
  const { applicationTunnel: tunnel, locality } = workload
  return {
    workloadIps: workload.addresses,
    waypoint: dumpGateway(workload.waypoint),
    networkGateway: dumpGateway(workload.networkGateway),
    protocol: workload.tunnelProtocol === 'HBONE' ? 'HBONE' : 'TCP',
    networkMode: workload.networkMode === 'HOST_NETWORK' ? 'HostNetwork' : 'Standard',
    uid: workload.uid,
    name: workload.name,
    namespace: workload.namespace,
    trustDomain: filled(workload.trustDomain),
    serviceAccount: filled(workload.serviceAccount),
    network: filled(workload.network),
    workloadName: filled(workload.workloadName),
    workloadType: workload.workloadType.toLowerCase(),
    canonicalName: filled(workload.canonicalName),
    canonicalRevision: filled(workload.canonicalRevision),
    hostname: filled(workload.hostname),
    node: filled(workload.node),
    nativeTunnel: workload.nativeTunnel ? true : undefined,
    applicationTunnel: tunnel === undefined ? undefined : { protocol: tunnel.protocol, port: tunnel.port },
    authorizationPolicies: nonEmpty(workload.authorizationPolicies),
    status: workload.status === 'HEALTHY' ? 'Healthy' : 'Unhealthy',
    clusterId: filled(workload.clusterId),
    locality: {
      region: filled(locality.region),
      zone: filled(locality.zone),
      subzone: filled(locality.subzone),
    },
    services: nonEmpty([...workload.services.keys()].toSorted()),
    capacity: workload.capacity,
  }
}

export function dumpService(service: Service, mesh: MeshView): Record<string, unknown> {
  const { loadBalancing } = service
  return {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    vips: service.addresses.map(({ network, address }) => `${network}/${address}`),
    cidrVips: nonEmpty(service.cidrs),
    ports: portMap(service.ports),
    endpoints: dumpEndpoints(service, mesh),
    subjectAltNames: nonEmpty(service.subjectAltNames),
    waypoint: dumpGateway(service.waypoint),
    weightedWaypoints: nonEmpty(
      service.weightedWaypoints.map(({ destination, weight }) => ({ ...dumpGateway(destination), weight })),
    ),
    loadBalancer: {
      mode: pascalCase(loadBalancing.mode),
      routingPreferences: loadBalancing.routingPreference.map(pascalCase),
      healthPolicy: pascalCase(loadBalancing.healthPolicy),
    },
    ipFamilies: IP_FAMILIES[service.ipFamilies],
    canonical: service.canonical ? true : undefined,
    visibility: pascalCase(service.visibility),
  }
}

export function dumpPolicy(policy: AuthorizationPolicy): Record<string, unknown> {
  return {
    name: policy.name,
    namespace: policy.namespace,
    scope: pascalCase(policy.scope),
    action: pascalCase(policy.action),
    dryRun: policy.dryRun ? true : undefined,
    rules: policy.rules.map((rule) => rule.map((clause) => clause.map(dumpMatch))),
  }
}

const IP_FAMILIES: Readonly<Record<Service['ipFamilies'], string | undefined>> = {
  AUTOMATIC: undefined,
  IPV4_ONLY: 'IPv4',
  IPV6_ONLY: 'IPv6',
  DUAL: 'Dual',
}

function dumpGateway(gateway: GatewayAddress | undefined): Record<string, unknown> | undefined {
  if (gateway === undefined) return undefined
  const destination =
    gateway.kind === 'hostname'
      ? `${gateway.namespace}/${gateway.hostname}`
      : `${gateway.network}/${gateway.address}`
  return { destination, hboneMtlsPort: gateway.hboneMtlsPort }
}

function dumpEndpoints(service: Service, mesh: MeshView): Record<string, unknown> {
  const endpoints = [...mesh.endpoints(serviceKey(service))]
  return Object.fromEntries(
    sortedBy(endpoints, ({ workload }) => workload.uid).map(({ workload, ports }) => [
      workload.uid,
      {
        workloadUid: workload.uid,
        service: serviceKey(service),
        port: Object.fromEntries(ports),
        status: workload.status === 'HEALTHY' ? 'Healthy' : 'Unhealthy',
      },
    ]),
  )
}

/** A match has twelve lists, most of them empty. */
function dumpMatch(match: PolicyMatch): Record<string, unknown> {
  const { namespaces, notNamespaces, principals, notPrincipals, ...lists } = match
  const texts = { namespaces, notNamespaces, principals, notPrincipals }
  return {
    ...withoutEmpty(Object.entries(texts).map(([field, list]) => [field, list.map(dumpStringMatch)])),
    ...withoutEmpty(Object.entries(lists)),
  }
}

function dumpStringMatch(match: StringMatch): Record<string, unknown> {
  return match.kind === 'presence' ? { Presence: [] } : { [pascalCase(match.kind)]: match.value }
}

function withoutEmpty(fields: readonly (readonly [string, readonly unknown[]])[]): Record<string, unknown> {
  return Object.fromEntries(fields.filter(([, list]) => list.length > 0))
}

function portMap(ports: readonly Port[]): Record<string, number> {
  return Object.fromEntries(ports.map(({ servicePort, targetPort }) => [servicePort, targetPort]))
}

/** `WORKLOAD_SELECTOR` is `WorkloadSelector` in the dump. */
function pascalCase(name: string): string {
  return name
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase())
    .join('')
}

function filled(text: string): string | undefined {
  return text === '' ? undefined : text
}

function nonEmpty<Item>(list: readonly Item[]): readonly Item[] | undefined {
  return list.length === 0 ? undefined : list
}

function sortedBy<Item>(items: readonly Item[], key: (item: Item) => string): Item[] {
  return items
    .map((item) => ({ item, key: key(item) }))
    .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ item }) => item)
}
