import type { MeshChange } from '../mesh/mesh-change.ts'
import type { AuthorizationPolicy, PolicyMatch, Service, Workload } from '../mesh/model.ts'

/** A captured pod `foo/<name>` on `node-a`. */
export function workload(name: string, fields: Partial<Workload> = {}): Workload {
  return {
    uid: `Kubernetes//Pod/foo/${name}`,
    name,
    namespace: 'foo',
    serviceAccount: name,
    trustDomain: 'cluster.local',
    addresses: ['10.0.0.1'],
    hostname: '',
    network: '',
    node: 'node-a',
    clusterId: 'Kubernetes',
    tunnelProtocol: 'HBONE',
    nativeTunnel: false,
    applicationTunnel: undefined,
    waypoint: undefined,
    networkGateway: undefined,
    networkMode: 'STANDARD',
    workloadName: name,
    workloadType: 'POD',
    canonicalName: name,
    canonicalRevision: 'latest',
    services: new Map(),
    authorizationPolicies: [],
    status: 'HEALTHY',
    locality: { region: '', zone: '', subzone: '' },
    capacity: 1,
    ...fields,
  }
}

/** A service `foo/<name>.foo.svc.cluster.local` on port 80. */
export function service(name: string, fields: Partial<Service> = {}): Service {
  return {
    name,
    namespace: 'foo',
    hostname: `${name}.foo.svc.cluster.local`,
    addresses: [{ network: '', address: '10.96.0.1' }],
    cidrs: [],
    ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'HTTP11' }],
    subjectAltNames: [],
    waypoint: undefined,
    weightedWaypoints: [],
    loadBalancing: { routingPreference: [], mode: 'STANDARD', healthPolicy: 'ONLY_HEALTHY' },
    ipFamilies: 'AUTOMATIC',
    canonical: true,
    visibility: 'PUBLIC',
    ...fields,
  }
}

/** A policy `foo/<name>` for the namespace that allows nothing. */
export function policy(name: string, fields: Partial<AuthorizationPolicy> = {}): AuthorizationPolicy {
  return { name, namespace: 'foo', scope: 'NAMESPACE', action: 'ALLOW', dryRun: false, rules: [], ...fields }
}

/** A match with the given fields only. */
export function match(fields: Partial<PolicyMatch>): PolicyMatch {
  const strings = { namespaces: [], notNamespaces: [], principals: [], notPrincipals: [] }
  const accounts = { serviceAccounts: [], notServiceAccounts: [] }
  const ips = { sourceIps: [], notSourceIps: [], destinationIps: [], notDestinationIps: [] }
  return { ...strings, ...accounts, ...ips, destinationPorts: [], notDestinationPorts: [], ...fields }
}

/** Remembers the batches that it was given. */
export class RecordingMesh {
  readonly batches: (readonly MeshChange[])[] = []

  apply(changes: Iterable<MeshChange>): void {
    this.batches.push([...changes])
  }
}

/** Bytes written as text in hexadecimal; spaces are for the reader. */
export function hex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
}
