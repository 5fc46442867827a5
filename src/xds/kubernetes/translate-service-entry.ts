import type { Service as MeshService, Port, ServiceKey } from '../../mesh/model.ts'
import type { KubernetesObjects } from './objects.ts'
import type { ServiceEntry, ServiceEntryPort } from './objects-networking.ts'
import type { Labelled } from './selector.ts'
import type { FieldOf, TranslateContext } from './translate-context.ts'
import { appProtocolOf } from './translate-service.ts'
import { waypointOf } from './waypoint-bindings.ts'

/** A ServiceEntry and those of its hosts that it speaks for. */
export interface PublishedEntry {
  readonly entry: ServiceEntry
  readonly hosts: readonly { readonly host: string; readonly canonical: boolean }[]
}

/**
 * Who speaks for which host: within a namespace a Kubernetes Service before a
 * ServiceEntry, and the oldest of these. Across namespaces one is canonical,
 * by the same order; the others count only for their own namespace.
 */
export function publishEntries(
  { serviceEntries, services }: Pick<KubernetesObjects, 'serviceEntries' | 'services'>,
  { domain, warn }: Pick<TranslateContext, 'domain' | 'warn'>,
): readonly PublishedEntry[] {
  const taken = new Map<ServiceKey, FieldOf>()
  const canonical = new Set<string>()
  for (const service of services.values()) {
    const { metadata } = service
    const host = `${metadata.name}.${metadata.namespace}.svc.${domain}`
    taken.set(`${metadata.namespace}/${host}`, { object: service, field: 'metadata.name' })
    canonical.add(host)
  }
  return [...serviceEntries.values()].sort(byAge).map((entry) => {
    const { namespace } = entry.metadata
    const hosts: { host: string; canonical: boolean }[] = []
    for (const [index, host] of entry.spec.hosts.entries()) {
      const winner = taken.get(`${namespace}/${host}`)
      if (winner !== undefined) {
        const { kind, metadata } = winner.object
        const message = `has no effect: ${host} is ${kind} ${metadata.namespace}/${metadata.name}'s already`
        warn(entry, `spec.hosts[${index}]`, message, winner)
        continue
      }
      taken.set(`${namespace}/${host}`, { object: entry, field: `spec.hosts[${index}]` })
      hosts.push({ host, canonical: !canonical.has(host) })
      canonical.add(host)
    }
    return { entry, hosts }
  })
}

/** One service for each host of an entry, as istiod's ambient index makes them. */
export function translateServiceEntry(
  { entry, hosts }: PublishedEntry,
  context: TranslateContext,
): readonly MeshService[] {
  const { metadata, spec } = entry
  const { namespace, labels } = metadata
  if (hosts.length === 0) return []
  const passthrough = spec.resolution === 'NONE'
  const waypoint = waypointOf({ object: entry, kind: 'service', namespace, labels }, context)
  warnOfEmptiness(entry, context)
  return hosts.map(({ host, canonical }) => ({
    name: metadata.name,
    namespace,
    hostname: host,
    ...virtualAddressesOf(entry, host, context.network),
    ports: tcpPorts(entry).map((port) => toPort(port, port.targetPort)),
    subjectAltNames: spec.subjectAltNames,
    waypoint,
    weightedWaypoints: [],
    loadBalancing: {
      routingPreference: [],
      mode: passthrough ? 'PASSTHROUGH' : 'STANDARD',
      healthPolicy: passthrough ? 'ALLOW_ALL' : 'ONLY_HEALTHY',
    },
    ipFamilies: 'AUTOMATIC',
    canonical,
    visibility: 'PUBLIC',
  }))
}

/**
 * The entries' services that something belongs to by its labels. Its port is
 * the one that it calls by the name of the service's.
 */
export function selectingEntries(
  workload: Labelled,
  portNamed: (name: string) => number | undefined,
  { index }: TranslateContext,
): [ServiceKey, readonly Port[]][] {
  return index.entries.matching(workload).flatMap((entry) => entryServices(entry, portNamed))
}

/** All services of an entry, with the ports of one endpoint. */
export function entryServices(
  { entry, hosts }: PublishedEntry,
  portNamed: (name: string) => number | undefined,
): [ServiceKey, readonly Port[]][] {
  const ports = tcpPorts(entry).map((port) => toPort(port, portNamed(port.name) ?? port.targetPort))
  return hosts.map(({ host }) => [`${entry.metadata.namespace}/${host}`, ports])
}

function tcpPorts({ spec }: ServiceEntry): readonly ServiceEntryPort[] {
  return spec.ports.filter(({ protocol }) => protocol !== 'UDP')
}

function toPort({ number, name, protocol }: ServiceEntryPort, targetPort: number): Port {
  const appProtocol = appProtocolOf({ name, appProtocol: protocol })
  return { servicePort: number, targetPort, appProtocol }
}

function virtualAddressesOf(
  { spec, status }: ServiceEntry,
  host: string,
  network: string,
): Pick<MeshService, 'addresses' | 'cidrs'> {
  const given = spec.addresses
  const allocated =
    given.length > 0 || spec.resolution === 'NONE'
      ? []
      : status.addresses.filter((address) => (address.host ?? host) === host).map(({ value }) => value)
  return {
    addresses: [...given.filter((text) => !text.includes('/')), ...allocated].map((address) => ({
      network,
      address,
    })),
    cidrs: given.filter((text) => text.includes('/')).map((cidr) => ({ network, cidr })),
  }
}

function warnOfEmptiness(entry: ServiceEntry, { warn }: TranslateContext): void {
  const { addresses, resolution, endpoints, workloadSelector } = entry.spec
  if (addresses.length === 0 && (resolution === 'NONE' || entry.status.addresses.length === 0)) {
    const message =
      'not set, and nothing here assigns one: the hosts have no virtual address to be dialled at'
    warn(entry, 'spec.addresses', message)
  }
  if (resolution === 'STATIC' && endpoints.length === 0 && workloadSelector === undefined)
    warn(entry, 'spec.endpoints', 'not set, nor is workloadSelector: connections have nowhere to go')
}

/** Oldest first; without a date counts as oldest, in order of name. */
function byAge(a: ServiceEntry, b: ServiceEntry): number {
  const [left, right] = [a, b].map(({ metadata: m }) => `${m.creationTimestamp} ${m.namespace}/${m.name}`)
  return String(left) < String(right) ? -1 : 1
}
