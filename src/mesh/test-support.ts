import { EMPTY_MATCH } from './empty-match.ts'
import type { AuthorizationPolicy, GatewayAddress, PolicyMatch, Port, Service, Workload } from './model.ts'

/** A healthy pod `Kubernetes//Pod/default/<name>` on node `n1` that takes HBONE, overridden as the test needs. */
export function aWorkload(overrides: Partial<Workload> = {}): Workload {
  const name = overrides.name ?? 'client'
  const namespace = overrides.namespace ?? 'default'
  return {
    uid: `Kubernetes//Pod/${namespace}/${name}`,
    name,
    namespace,
    serviceAccount: name,
    trustDomain: 'cluster.local',
    addresses: ['10.0.0.1'],
    hostname: '',
    network: '',
    node: 'n1',
    clusterId: 'Kubernetes',
    tunnelProtocol: 'HBONE',
    nativeTunnel: false,
    applicationTunnel: undefined,
    waypoint: undefined,
    networkGateway: undefined,
    networkMode: 'STANDARD',
    workloadName: name,
    workloadType: 'DEPLOYMENT',
    canonicalName: name,
    canonicalRevision: 'v1',
    services: new Map(),
    authorizationPolicies: [],
    status: 'HEALTHY',
    locality: { region: '', zone: '', subzone: '' },
    capacity: 1,
    ...overrides,
  }
}

/** `<name>.<namespace>.svc.cluster.local` with port 80 to 8080, overridden as the test needs. */
export function aService(overrides: Partial<Service> = {}): Service {
  const name = overrides.name ?? 'server'
  const namespace = overrides.namespace ?? 'default'
  return {
    name,
    namespace,
    hostname: `${name}.${namespace}.svc.cluster.local`,
    addresses: [{ network: '', address: '10.96.0.1' }],
    cidrs: [],
    ports: [aPort(80, 8080)],
    subjectAltNames: [],
    waypoint: undefined,
    weightedWaypoints: [],
    loadBalancing: { mode: 'STANDARD', routingPreference: [], healthPolicy: 'ONLY_HEALTHY' },
    ipFamilies: 'AUTOMATIC',
    canonical: false,
    visibility: 'PUBLIC',
    ...overrides,
  }
}

export function aPort(servicePort: number, targetPort: number): Port {
  return { servicePort, targetPort, appProtocol: 'UNKNOWN' }
}

/** A gateway address by IP, in the network of that name. */
export function atAddress(address: string, network = ''): GatewayAddress {
  return { kind: 'address', network, address, hboneMtlsPort: 15_008 }
}

/** A gateway address by hostname. */
export function atHostname(hostname: string, namespace = 'default'): GatewayAddress {
  return { kind: 'hostname', namespace, hostname, hboneMtlsPort: 15_008 }
}

/** ALLOW, selected by the workload, without rules. */
export function aPolicy(overrides: Partial<AuthorizationPolicy> = {}): AuthorizationPolicy {
  return {
    name: 'policy',
    namespace: 'default',
    scope: 'WORKLOAD_SELECTOR',
    action: 'ALLOW',
    dryRun: false,
    rules: [],
    ...overrides,
  }
}

/** A match with nothing in it but what the test gives. */
export function aMatch(overrides: Partial<PolicyMatch> = {}): PolicyMatch {
  return { ...EMPTY_MATCH, ...overrides }
}
