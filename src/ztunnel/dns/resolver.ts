import {
  addressFamily,
  bestService,
  type MeshView,
  type Service,
  serviceKey,
  type Workload,
} from '../../mesh/index.ts'
import { candidates, hostnamePatterns, kubernetesSearchDomains } from './names.ts'

/** What a workload's DNS is told; filled once from the configuration. */
export interface ResolverSettings {
  /** CLUSTER_DOMAIN, in lower case. */
  readonly clusterDomain: string
  /** PREFERED_SERVICE_NAMESPACE: whose service it is when several have the name. */
  readonly preferredNamespace: string | undefined
  /** IPV6_ENABLED: whether AAAA has answers. */
  readonly ipv6Enabled: boolean
  /** Dedicated mode: of resolv.conf. Undefined in shared mode: what Kubernetes gives a pod. */
  readonly searchDomains: readonly string[] | undefined
}

export interface NameQuery {
  /** In lower case, without the final dot. */
  readonly name: string
  readonly family: 4 | 6
  readonly client: Workload
  /** For the order of the addresses. */
  readonly random: () => number
}

/** What the mesh says to a name. */
export type Resolution =
  /** Nothing: it is for the name servers. */
  | { readonly kind: 'unknown' }
  | {
      readonly kind: 'known'
      readonly service: Service
      /** The name that the addresses belong to, where it is not the queried one: without a search domain. */
      readonly alias: string | undefined
      /** In random order, of the queried family; there may be none. */
      readonly addresses: readonly string[]
      /** Whether the service has no addresses of this family by its own wish. */
      readonly familyExcluded: boolean
    }

/** Finds the service that a name means to a workload, and its addresses. Pure (wire/ztunnel 12.3 to 12.7). */
export function resolveName(mesh: MeshView, query: NameQuery, settings: ResolverSettings): Resolution {
  const { name, family, client, random } = query
  const { clusterDomain } = settings
  const searchDomains = settings.searchDomains ?? kubernetesSearchDomains(client.namespace, clusterDomain)
  for (const candidate of candidates(name, { namespace: client.namespace, clusterDomain, searchDomains })) {
    for (const { hostname, wildcard } of hostnamePatterns(candidate.name)) {
      const service = serviceOf(mesh, hostname, client, settings)
      if (service === undefined) continue
      const familyExcluded = !allowsFamily(service, family, settings)
      return {
        kind: 'known',
        service,
        alias: wildcard ? undefined : candidate.stripped,
        addresses: familyExcluded ? [] : shuffle(addressesOf(mesh, service, client, family), random),
        familyExcluded,
      }
    }
  }
  return { kind: 'unknown' }
}

/**
 * A service can be answered for when it has addresses of its own or is one of the cluster's, whose endpoints are its
 * addresses. Any other without addresses, say of a ServiceEntry, is left to the name servers (wire/ztunnel 12.5).
 */
function serviceOf(
  mesh: MeshView,
  hostname: string,
  client: Workload,
  { clusterDomain, preferredNamespace }: ResolverSettings,
): Service | undefined {
  const all = mesh.servicesByHostname(hostname)
  if (all.length === 0) return undefined
  const ofCluster = hostname.endsWith(`.svc.${clusterDomain}`)
  const answerable = ofCluster ? all : all.filter(({ addresses }) => addresses.length > 0)
  return bestService(answerable, client.namespace, preferredNamespace)
}

/** Virtual addresses in the client's network, or, where the service has none at all, one address of each endpoint. */
function addressesOf(mesh: MeshView, service: Service, client: Workload, family: 4 | 6): string[] {
  const reachable =
    service.addresses.length > 0
      ? virtualAddresses(service, client)
      : endpoints(mesh, service, client, family)
  return reachable.filter((address) => addressFamily(address) === family)
}

function virtualAddresses({ addresses }: Service, client: Workload): string[] {
  return addresses.filter(({ network }) => network === client.network).map(({ address }) => address)
}

/** The same address may be somebody else's in the client's network, so those of other networks are left out. */
function endpoints(mesh: MeshView, service: Service, client: Workload, family: 4 | 6): string[] {
  return mesh
    .endpoints(serviceKey(service))
    .filter(({ workload }) => workload.network === client.network)
    .flatMap(({ workload }) => workload.addresses.find((address) => addressFamily(address) === family) ?? [])
}

function allowsFamily({ ipFamilies }: Service, family: 4 | 6, { ipv6Enabled }: ResolverSettings): boolean {
  if (family === 6) return ipv6Enabled && ipFamilies !== 'IPV4_ONLY'
  return ipFamilies !== 'IPV6_ONLY'
}

/** Fisher and Yates: clients take the first address, and each must have its turn. */
function shuffle(addresses: string[], random: () => number): readonly string[] {
  for (let last = addresses.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    const [one, two] = [addresses[last], addresses[other]]
    if (one === undefined || two === undefined) break
    addresses[last] = two
    addresses[other] = one
  }
  return addresses
}
