import { EndpointIndex } from './endpoint-index.ts'
import type { MeshChange, MeshListener, MeshUpdate } from './mesh-change.ts'
import type { Endpoint, MeshView } from './mesh-view.ts'
import type { AuthorizationPolicy, Identity, NetworkAddress, Service, ServiceKey, Workload } from './model.ts'
import { isServiceKey, policyName, serviceKey } from './names.ts'
import { PolicyIndex } from './policy-index.ts'
import { ServiceIndex } from './service-index.ts'
import { WorkloadIndex } from './workload-index.ts'

export interface MeshStoreOptions {
  /** `localWorkload` finds only this node's workloads. Default: those of every node. */
  readonly node?: string | undefined
}

/**
 * The mesh in memory: changed in batches, read at once. A change costs what it
 * touches, never what the mesh holds. Equal parts of workloads are shared, so
 * `workload(uid)` is equal to what was put in, not identical.
 */
export class MeshStore implements MeshView {
  readonly #workloads: WorkloadIndex
  readonly #services = new ServiceIndex()
  readonly #endpoints = new EndpointIndex()
  readonly #policies = new PolicyIndex()
  readonly #listeners = new Set<MeshListener>()
  #revision = 0

  constructor(options: MeshStoreOptions = {}) {
    this.#workloads = new WorkloadIndex(options.node)
  }

  get revision(): number {
    return this.#revision
  }

  /**
   * Applies changes in the order given, as one: the revision rises by one and
   * listeners hear once, after all of them. Removing what is not there is no
   * change; without any change there is no new revision and nobody is told.
   */
  apply(changes: Iterable<MeshChange>): MeshUpdate {
    const touched = {
      workloads: new Set<string>(),
      services: new Set<ServiceKey>(),
      policies: new Set<string>(),
    }
    for (const change of changes) this.#applyOne(change, touched)
    const { workloads, services, policies } = touched
    const changed = workloads.size + services.size + policies.size > 0
    if (changed) this.#revision++
    const update: MeshUpdate = {
      revision: this.#revision,
      workloads: [...workloads],
      services: [...services],
      policies: [...policies],
    }
    // A copy: a listener may subscribe or unsubscribe while it is told.
    if (changed) for (const listener of [...this.#listeners]) listener(update)
    return update
  }

  upsertWorkload(workload: Workload): void {
    this.apply([{ kind: 'upsert-workload', workload }])
  }

  removeWorkload(uid: string): void {
    this.apply([{ kind: 'remove-workload', uid }])
  }

  upsertService(service: Service): void {
    this.apply([{ kind: 'upsert-service', service }])
  }

  removeService(key: ServiceKey): void {
    this.apply([{ kind: 'remove-service', key }])
  }

  upsertPolicy(policy: AuthorizationPolicy): void {
    this.apply([{ kind: 'upsert-policy', policy }])
  }

  /** `name` is `namespace/name`. */
  removePolicy(name: string): void {
    this.apply([{ kind: 'remove-policy', name }])
  }

  /** Calls `listener` after every batch that changed something, until the returned function is called. */
  subscribe(listener: MeshListener): () => void {
    // Wrapped, so that one function subscribed twice is two subscriptions.
    const entry: MeshListener = (update) => listener(update)
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  workload(uid: string): Workload | undefined {
    return this.#workloads.get(uid)
  }

  workloadByAddress(address: NetworkAddress): Workload | undefined {
    return this.#workloads.byAddress(address)
  }

  localWorkload(name: string, namespace: string, serviceAccount: string): Workload | undefined {
    return this.#workloads.local(name, namespace, serviceAccount)
  }

  workloadByHostname(namespace: string, hostname: string): Workload | undefined {
    return this.#workloads.byHostname(namespace, hostname)
  }

  /** The identities of the workloads on a node, each once: what the node's proxy may ask certificates for (wire/istio 2.7). */
  identitiesOnNode(node: string, clusterId?: string): Iterable<Identity> {
    return this.#workloads.identitiesOnNode(node, clusterId)
  }

  /** Whether a workload with this account runs on the node; the trust domain is not compared (wire/istio 2.7). */
  hasIdentityOnNode(node: string, namespace: string, serviceAccount: string, clusterId?: string): boolean {
    return this.#workloads.hasIdentityOnNode(node, namespace, serviceAccount, clusterId)
  }

  service(key: ServiceKey): Service | undefined {
    return this.#services.get(key)
  }

  serviceByAddress(address: NetworkAddress, clientNamespace: string | undefined): Service | undefined {
    return this.#services.byAddress(address, clientNamespace)
  }

  servicesByHostname(hostname: string): readonly Service[] {
    return this.#services.allByHostname(hostname)
  }

  serviceByHostname(hostname: string, clientNamespace: string | undefined): Service | undefined {
    return this.#services.byHostname(hostname, clientNamespace)
  }

  /** Those that the service's health policy lets through; none while the service is unknown. */
  endpoints(key: ServiceKey): readonly Endpoint[] {
    const service = this.#services.get(key)
    return service === undefined ? [] : this.#endpoints.usable(key, service.loadBalancing.healthPolicy)
  }

  policiesFor(destination: Workload): readonly AuthorizationPolicy[] {
    return this.#policies.for(destination)
  }

  unknownPolicies(destination: Workload): readonly string[] {
    return this.#policies.unknown(destination)
  }

  workloads(): Iterable<Workload> {
    return this.#workloads.values()
  }

  services(): Iterable<Service> {
    return this.#services.values()
  }

  policies(): Iterable<AuthorizationPolicy> {
    return this.#policies.values()
  }

  #applyOne(change: MeshChange, touched: Touched): void {
    switch (change.kind) {
      case 'upsert-workload':
        this.#upsertWorkload(change.workload, change.isShared ?? false, touched)
        break
      case 'remove-workload':
        this.#removeWorkload(change.uid, touched)
        break
      case 'upsert-service':
        this.#services.upsert(change.service)
        touched.services.add(serviceKey(change.service))
        break
      case 'remove-service':
        this.#removeService(change.key, touched)
        break
      case 'remove-address':
        this.#removeAddress(change.name, touched)
        break
      case 'upsert-policy':
        this.#policies.upsert(change.policy)
        touched.policies.add(policyName(change.policy))
        break
      case 'remove-policy':
        if (this.#policies.remove(change.name)) touched.policies.add(change.name)
    }
  }

  #upsertWorkload(given: Workload, isShared: boolean, touched: Touched): void {
    const { workload, previous } = this.#workloads.upsert(given, isShared)
    if (previous !== undefined) this.#endpoints.remove(previous)
    this.#endpoints.add(workload)
    touched.workloads.add(workload.uid)
  }

  #removeWorkload(uid: string, touched: Touched): boolean {
    const workload = this.#workloads.remove(uid)
    if (workload === undefined) return false
    this.#endpoints.remove(workload)
    touched.workloads.add(uid)
    return true
  }

  /** A uid may look like anything, so it is tried first (wire/ztunnel 10.8). */
  #removeAddress(name: string, touched: Touched): void {
    if (!this.#removeWorkload(name, touched) && isServiceKey(name)) this.#removeService(name, touched)
  }

  #removeService(key: ServiceKey, touched: Touched): void {
    if (this.#services.remove(key) !== undefined) touched.services.add(key)
  }
}

interface Touched {
  readonly workloads: Set<string>
  readonly services: Set<ServiceKey>
  readonly policies: Set<string>
}
