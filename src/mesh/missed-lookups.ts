import type { Endpoint, MeshView } from './mesh-view.ts'
import type { AuthorizationPolicy, NetworkAddress, Service, ServiceKey, Workload } from './model.ts'
import { serviceKey } from './names.ts'

/**
 * A mesh that keeps note of what it was asked for and does not have. With a
 * control plane that sends only what it is asked for, a decision is made on
 * this view, what it missed is fetched, and it is made again: so that decisions
 * stay functions of what is known and need not wait themselves.
 */
export class MissedLookups implements MeshView {
  readonly #mesh: MeshView
  readonly #missed = new Set<string>()
  readonly #found = new Set<string>()

  constructor(mesh: MeshView) {
    this.#mesh = mesh
  }

  get revision(): number {
    return this.#mesh.revision
  }

  /**
   * The names under which a control plane knows them: a uid, `network/address`
   * or `namespace/hostname`. An address that is a workload's or a service's is
   * not missed, whichever of the two was asked for first.
   */
  names(): string[] {
    return [...this.#missed].filter((name) => !this.#found.has(name))
  }

  workload(uid: string): Workload | undefined {
    return this.#noted(uid, this.#mesh.workload(uid))
  }

  workloadByAddress(address: NetworkAddress): Workload | undefined {
    return this.#noted(addressName(address), this.#mesh.workloadByAddress(address))
  }

  /** Not noted: who runs on a node is for its agent to say. */
  localWorkload(name: string, namespace: string, serviceAccount: string): Workload | undefined {
    return this.#mesh.localWorkload(name, namespace, serviceAccount)
  }

  service(key: ServiceKey): Service | undefined {
    return this.#noted(key, this.#mesh.service(key))
  }

  serviceByAddress(address: NetworkAddress, clientNamespace: string | undefined): Service | undefined {
    return this.#noted(addressName(address), this.#mesh.serviceByAddress(address, clientNamespace))
  }

  /** Noted as of the client's own namespace: a name needs one, and the hostname does not say which. */
  serviceByHostname(hostname: string, clientNamespace: string | undefined): Service | undefined {
    const found = this.#mesh.serviceByHostname(hostname, clientNamespace)
    return this.#noted(serviceKey({ namespace: clientNamespace ?? '', hostname }), found)
  }

  servicesByHostname(hostname: string): readonly Service[] {
    return this.#mesh.servicesByHostname(hostname)
  }

  workloadByHostname(namespace: string, hostname: string): Workload | undefined {
    const found = this.#mesh.workloadByHostname(namespace, hostname)
    return this.#noted(serviceKey({ namespace, hostname }), found)
  }

  endpoints(service: ServiceKey): readonly Endpoint[] {
    return this.#mesh.endpoints(service)
  }

  policiesFor(destination: Workload): readonly AuthorizationPolicy[] {
    return this.#mesh.policiesFor(destination)
  }

  /** Not noted: policies come unasked, even on demand (wire/ztunnel 10.4). */
  unknownPolicies(destination: Workload): readonly string[] {
    return this.#mesh.unknownPolicies(destination)
  }

  workloads(): Iterable<Workload> {
    return this.#mesh.workloads()
  }

  services(): Iterable<Service> {
    return this.#mesh.services()
  }

  policies(): Iterable<AuthorizationPolicy> {
    return this.#mesh.policies()
  }

  #noted<Thing>(name: string, found: Thing | undefined): Thing | undefined {
    if (found === undefined) this.#missed.add(name)
    else this.#found.add(name)
    return found
  }
}

function addressName({ network, address }: NetworkAddress): string {
  return `${network}/${address}`
}
