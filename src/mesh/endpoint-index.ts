import type { Endpoint } from './mesh-view.ts'
import type { Port, Service, ServiceKey, Workload } from './model.ts'

/**
 * The endpoints of every service, kept from the workloads' side: a workload
 * names its services, so an endpoint can be filed before its service arrives
 * and survives the service's removal (wire/ztunnel 10.9).
 *
 * Health is judged when endpoints are read, not when they are filed. Istio's
 * ztunnel drops an unhealthy endpoint on arrival, so that a service which
 * later turns to ALLOW_ALL misses it until its workload is sent again
 * (wire/ztunnel 3.12); here it is back at once.
 */
export class EndpointIndex {
  readonly #sets = new Map<ServiceKey, EndpointSet>()

  add(workload: Workload): void {
    for (const [key, ports] of workload.services) {
      let set = this.#sets.get(key)
      if (set === undefined) {
        set = new EndpointSet()
        this.#sets.set(key, set)
      }
      set.add(workload, ports)
    }
  }

  remove(workload: Workload): void {
    for (const key of workload.services.keys()) {
      const set = this.#sets.get(key)
      set?.remove(workload.uid)
      if (set?.size === 0) this.#sets.delete(key)
    }
  }

  /** Those that the service's health policy lets through, in the order of arrival. */
  usable(key: ServiceKey, healthPolicy: Service['loadBalancing']['healthPolicy']): readonly Endpoint[] {
    return this.#sets.get(key)?.usable(healthPolicy) ?? []
  }
}

class EndpointSet {
  readonly #byUid = new Map<string, Endpoint>()
  /** Made on first use after a change: a busy service is read far more often than it changes. */
  #all: readonly Endpoint[] | undefined
  #healthy: readonly Endpoint[] | undefined
  #lastPorts: ReadonlyMap<number, number> = NO_PORTS

  get size(): number {
    return this.#byUid.size
  }

  add(workload: Workload, listed: readonly Port[]): void {
    // A mapping to port 0 says nothing.
    const ports = listed.filter(({ targetPort }) => targetPort > 0)
    if (!isMapping(this.#lastPorts, ports)) this.#lastPorts = portMapping(ports)
    this.#byUid.set(workload.uid, { workload, ports: this.#lastPorts })
    this.#forget()
  }

  remove(uid: string): void {
    this.#byUid.delete(uid)
    this.#forget()
  }

  usable(healthPolicy: Service['loadBalancing']['healthPolicy']): readonly Endpoint[] {
    this.#all ??= [...this.#byUid.values()]
    if (healthPolicy === 'ALLOW_ALL') return this.#all
    this.#healthy ??= this.#all.filter(({ workload }) => workload.status === 'HEALTHY')
    return this.#healthy
  }

  #forget(): void {
    this.#all = undefined
    this.#healthy = undefined
  }
}

const NO_PORTS: ReadonlyMap<number, number> = new Map()

/** Endpoints of one service nearly always map its ports alike and then share one map. */
function isMapping(mapping: ReadonlyMap<number, number>, ports: readonly Port[]): boolean {
  return (
    mapping.size === ports.length &&
    ports.every(({ servicePort, targetPort }) => mapping.get(servicePort) === targetPort)
  )
}

function portMapping(ports: readonly Port[]): ReadonlyMap<number, number> {
  return new Map(ports.map(({ servicePort, targetPort }) => [servicePort, targetPort]))
}
