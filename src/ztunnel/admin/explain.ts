import {
  canonicalAddress,
  type Explanation,
  explainConnection,
  isAddress,
  type MeshStore,
  type MeshView,
  type Service,
  type SocketAddress,
  serviceKey,
  type Workload,
} from '../../mesh/index.ts'
import { type Demand, decideOnDemand } from '../proxy/on-demand.ts'
import { illegalPorts, type ProxySettings } from '../settings.ts'

export interface ExplainOptions {
  readonly mesh: MeshStore
  readonly settings: ProxySettings
  readonly random: () => number
  readonly demand?: Demand | undefined
  /** CLUSTER_DOMAIN: what short service names end in. */
  readonly clusterDomain: string
  /** CLUSTER_ID: what the uid of a pod begins with. */
  readonly clusterId: string
  /** NODE_NAME, whose pods this proxy serves; undefined: any node's. */
  readonly nodeName: string | undefined
}

/** `/explain`'s answer: what would be done, or why the question makes no sense. */
export type ExplainAnswer =
  | { readonly status: 200; readonly explanation: Explanation }
  | { readonly status: 400 | 404; readonly message: string }

/**
 * Explains a connection of `source` (`namespace/pod`) to `destination`:
 * `ip:port`, `[v6]:port`, `hostname:port`, the short forms `name` and
 * `name.namespace` of a service, or `namespace/pod:port`. A service with one
 * port needs none.
 */
export function explain(
  options: ExplainOptions,
  source: string,
  destination: string,
): Promise<ExplainAnswer> {
  return decideOnDemand(options.mesh, options.demand, (mesh) => answer(mesh, options, source, destination))
}

function answer(
  mesh: MeshView,
  options: ExplainOptions,
  sourceText: string,
  destinationText: string,
): ExplainAnswer {
  const source = podNamed(mesh, options, sourceText)
  if (source === undefined) {
    return { status: 404, message: `no workload ${sourceText}; the source must be namespace/pod` }
  }
  const destination = parseDestination(mesh, options, source, destinationText)
  if ('status' in destination) return destination
  const { settings, random, nodeName } = options
  const explanation = explainConnection(mesh, {
    source,
    destination,
    network: settings.network,
    enforcement: settings.waypointEnforcement,
    random,
    illegalPorts: illegalPorts(settings),
  })
  if (nodeName === undefined || source.node === nodeName) return { status: 200, explanation }
  const note = `this proxy serves ${nodeName}; ${source.uid} is on "${source.node}", whose proxy decides by what it knows itself`
  return { status: 200, explanation: { ...explanation, notes: [note, ...explanation.notes] } }
}

type Refusal = Extract<ExplainAnswer, { status: 400 | 404 }>

function podNamed(mesh: MeshView, { clusterId }: ExplainOptions, text: string): Workload | undefined {
  const [namespace, name, more] = text.split('/')
  if (!namespace || !name || more !== undefined) return undefined
  const known = mesh.workload(`${clusterId}//Pod/${namespace}/${name}`)
  if (known !== undefined) return known
  for (const workload of mesh.workloads()) {
    if (workload.name === name && workload.namespace === namespace) return workload
  }
  return undefined
}

function parseDestination(
  mesh: MeshView,
  options: ExplainOptions,
  source: Workload,
  text: string,
): SocketAddress | Refusal {
  const { host, port } = splitPort(text)
  if (port !== undefined && !(port >= 1 && port <= 65_535)) {
    return { status: 400, message: `${text}: a port is a number from 1 to 65535` }
  }
  if (isAddress(host)) {
    if (port === undefined) return { status: 400, message: `${text}: an address needs a port, ${text}:80` }
    return { address: canonicalAddress(host), port }
  }
  if (host.includes('/')) return podDestination(mesh, options, host, port)
  const service = serviceNamed(mesh, options, source, host)
  if (service === undefined) {
    const message = `no service ${host} that namespace ${source.namespace} sees; a service is a hostname, name.namespace or name, a pod is namespace/name:port`
    return { status: 404, message }
  }
  return serviceDestination(mesh, source, service, port)
}

/** The last colon parts the port, unless it is inside an IPv6 address. */
function splitPort(text: string): { host: string; port: number | undefined } {
  const match = /^(?:\[(?<v6>[^\]]*)\]|(?<name>[^:]*))(?::(?<port>.*))?$/.exec(text)
  const { v6, name, port } = match?.groups ?? {}
  const host = v6 ?? name ?? text
  return { host, port: port === undefined ? undefined : /^\d{1,5}$/.test(port) ? Number(port) : Number.NaN }
}

function podDestination(
  mesh: MeshView,
  options: ExplainOptions,
  host: string,
  port: number | undefined,
): SocketAddress | Refusal {
  const workload = podNamed(mesh, options, host)
  const address = workload?.addresses[0]
  if (address === undefined) return { status: 404, message: `no workload ${host} with an address` }
  return port === undefined
    ? { status: 400, message: `${host}: a pod needs a port, ${host}:80` }
    : { address, port }
}

/** As a resolver with the search domains of the source's pod would find it. */
function serviceNamed(
  mesh: MeshView,
  { clusterDomain }: ExplainOptions,
  source: Workload,
  host: string,
): Service | undefined {
  const labels = host.split('.')
  const [name = '', namespace = source.namespace] = labels
  const short = labels.length <= 2 || (labels.length === 3 && labels[2] === 'svc')
  const hostname = `${name}.${namespace}.svc.${clusterDomain}`
  return (
    (short ? mesh.service(serviceKey({ namespace, hostname })) : undefined) ??
    mesh.serviceByHostname(host, source.namespace) ??
    mesh.service(serviceKey({ namespace, hostname: host }))
  )
}

/** Where DNS would lead: a virtual address of the source's network, or an endpoint of a headless service. */
function serviceDestination(
  mesh: MeshView,
  source: Workload,
  service: Service,
  port: number | undefined,
): SocketAddress | Refusal {
  const [only, ...others] = service.ports
  const wanted = port ?? (others.length === 0 ? only?.servicePort : undefined)
  if (wanted === undefined) {
    const ports = service.ports.map(({ servicePort }) => servicePort).join(', ')
    return { status: 400, message: `${service.hostname} has the ports ${ports}: say which` }
  }
  const own = service.addresses.filter(({ network }) => network === source.network)
  const virtual = own.find(({ address }) => !address.includes(':')) ?? own[0]
  const endpoint = mesh.endpoints(serviceKey(service))[0]?.workload.addresses[0]
  const address = virtual?.address ?? endpoint
  return address === undefined
    ? {
        status: 404,
        message: `${service.hostname} has neither an address in network "${source.network}" nor an endpoint`,
      }
    : { address, port: wanted }
}
