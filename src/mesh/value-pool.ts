import type { GatewayAddress, Locality, Port, ServiceKey, Workload } from './model.ts'

/**
 * Values kept for sharing. A decoder makes a new string for every field of
 * every message: 100,000 workloads of 2,000 deployments would hold each name
 * fifty times.
 */
const MAX_POOLED = 65_536

/**
 * Gives equal values one copy. Bounded: when full it forgets what it knew,
 * which costs some sharing and nothing else.
 */
export class ValuePool {
  readonly #strings = new Map<string, string>()
  readonly #values = new Map<string, unknown>()

  string(text: string): string {
    const known = this.#strings.get(text)
    if (known !== undefined) return known
    if (this.#strings.size >= MAX_POOLED) this.#strings.clear()
    this.#strings.set(text, text)
    return text
  }

  /** The first value given under `key`. `key` must tell apart all values that differ, of whatever type. */
  value<T>(key: string, value: T): T {
    const known = this.#values.get(key)
    // Sound because the key names the type (see the callers below).
    if (known !== undefined) return known as T
    if (this.#values.size >= MAX_POOLED) this.#values.clear()
    this.#values.set(key, value)
    return value
  }
}

/** The workload with every part that other workloads are likely to have as well shared with them. */
export function shareParts(workload: Workload, pool: ValuePool): Workload {
  return {
    ...workload,
    namespace: pool.string(workload.namespace),
    serviceAccount: pool.string(workload.serviceAccount),
    trustDomain: pool.string(workload.trustDomain),
    hostname: pool.string(workload.hostname),
    network: pool.string(workload.network),
    node: pool.string(workload.node),
    clusterId: pool.string(workload.clusterId),
    workloadName: pool.string(workload.workloadName),
    canonicalName: pool.string(workload.canonicalName),
    canonicalRevision: pool.string(workload.canonicalRevision),
    waypoint: shareGateway(workload.waypoint, pool),
    networkGateway: shareGateway(workload.networkGateway, pool),
    locality: shareLocality(workload.locality, pool),
    services: shareServices(workload.services, pool),
    authorizationPolicies: shareNames(workload.authorizationPolicies, pool),
  }
}

function shareGateway(gateway: GatewayAddress | undefined, pool: ValuePool): GatewayAddress | undefined {
  if (gateway === undefined) return undefined
  const where =
    gateway.kind === 'hostname' ? [gateway.namespace, gateway.hostname] : [gateway.network, gateway.address]
  return pool.value(['gateway', gateway.kind, gateway.hboneMtlsPort, ...where].join(SEPARATOR), gateway)
}

function shareLocality(locality: Locality, pool: ValuePool): Locality {
  return pool.value(['locality', locality.region, locality.zone, locality.subzone].join(SEPARATOR), locality)
}

function shareNames(names: readonly string[], pool: ValuePool): readonly string[] {
  return pool.value(['names', ...names].join(SEPARATOR), names)
}

/** The pods of one deployment list the same services with the same ports: the largest saving of all. */
function shareServices(
  services: ReadonlyMap<ServiceKey, readonly Port[]>,
  pool: ValuePool,
): ReadonlyMap<ServiceKey, readonly Port[]> {
  const key: (string | number)[] = ['services']
  for (const [service, ports] of services) {
    key.push(service, ports.length)
    for (const { servicePort, targetPort, appProtocol } of ports)
      key.push(servicePort, targetPort, appProtocol)
  }
  return pool.value(key.join(SEPARATOR), services)
}

/** Occurs in no Kubernetes name, address or host. */
const SEPARATOR = '\n'
