import type { AuthorizationPolicy, NetworkAddress, Service, ServiceKey, Workload } from './model.ts'

/** An endpoint of a service: the workload and its own port mapping. */
export interface Endpoint {
  readonly workload: Workload
  /** service port → target port, where the workload says so itself. */
  readonly ports: ReadonlyMap<number, number>
}

/**
 * Read access to the mesh. Every method answers at once from memory, so that a
 * decision made within one tick sees one consistent snapshot.
 */
export interface MeshView {
  /** Counts the applied changes; two equal numbers mean an unchanged mesh. */
  readonly revision: number
  workload(uid: string): Workload | undefined
  /** The workload that owns an address; the best one where several share it (HOST_NETWORK ones never). */
  workloadByAddress(address: NetworkAddress): Workload | undefined
  /** The pod that a node-local proxy serves. */
  localWorkload(name: string, namespace: string, serviceAccount: string): Workload | undefined
  service(key: ServiceKey): Service | undefined
  /** Best service for a virtual address as a client of `clientNamespace` sees it: exact address first, then the longest CIDR. */
  serviceByAddress(address: NetworkAddress, clientNamespace: string | undefined): Service | undefined
  /** Best service for a hostname as a client of `clientNamespace` sees it. */
  serviceByHostname(hostname: string, clientNamespace: string | undefined): Service | undefined
  /** All services with a hostname, whoever may see them; `bestService` chooses. */
  servicesByHostname(hostname: string): readonly Service[]
  /** A workload by hostname within a namespace. */
  workloadByHostname(namespace: string, hostname: string): Workload | undefined
  /** Those that the service's health policy lets through. Not to be kept: ask again after a change. */
  endpoints(service: ServiceKey): readonly Endpoint[]
  /** Policies that bear on connections to `destination`: namespace, global and the listed ones. */
  policiesFor(destination: Workload): readonly AuthorizationPolicy[]
  /** Names of policies that `destination` lists and nobody has sent; taken as absent (wire/ztunnel 8.1). */
  unknownPolicies(destination: Workload): readonly string[]
  workloads(): Iterable<Workload>
  services(): Iterable<Service>
  policies(): Iterable<AuthorizationPolicy>
}
