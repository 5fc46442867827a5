import {
  COMPOSE_ONE_OFF_LABEL,
  COMPOSE_PROJECT_LABEL,
  COMPOSE_SERVICE_LABEL,
  type ContainerProblem,
  concernsMesh,
  labelMessages,
  NAME_LABEL,
  NAMESPACE_LABEL,
  NETWORK_LABEL,
  NODE_LABEL,
  PORTS_LABEL,
  SERVICE_ACCOUNT_LABEL,
  SERVICE_LABEL,
} from './labels.ts'
import type { Container, DockerSnapshot } from './model.ts'
import { type ContainerServicePort, parseServicePorts } from './service-ports.ts'

/** A container and what it is in the mesh. */
export interface MeshContainer {
  readonly container: Container
  readonly name: string
  readonly namespace: string
  readonly node: string
  readonly serviceAccount: string
  /** Undefined: an endpoint of none. */
  readonly service: string | undefined
  readonly ports: readonly ContainerServicePort[]
  /** Of all its networks, those first by which others most likely reach it. */
  readonly addresses: readonly string[]
  /** Whether it asks to be captured; `isCaptured` has the last word. */
  readonly ambient: boolean
  /** All its networks are without a way out. */
  readonly internal: boolean
}

/** A container that its labels put into the mesh and that cannot be. */
export interface RefusedContainer {
  readonly container: Container
  readonly reason: string
}

/** What an engine's containers are in the mesh. */
export interface Fleet {
  /** Oldest first. Stopped ones too, without addresses. */
  readonly members: readonly MeshContainer[]
  readonly refused: readonly RefusedContainer[]
  readonly problems: readonly ContainerProblem[]
}

/**
 * What each container is in the mesh, and which cannot be in it and why. Pure, and of all containers of the engine:
 * agents and config servers must come to the same end.
 */
export function fleetOf(snapshot: DockerSnapshot): Fleet {
  const oldestFirst = [...snapshot.containers.values()].sort(byAge)
  const problems: ContainerProblem[] = []
  const refused: RefusedContainer[] = []
  const accepted: Accepted[] = []
  const owners = new Map<string, Container>()
  for (const container of oldestFirst) {
    const warn = (message: string) =>
      problems.push({ severity: 'warning', container: container.name, message })
    for (const message of labelMessages(container)) warn(message)
    if (!concernsMesh(container.labels)) continue
    const outcome = accept(container, snapshot, owners)
    if (typeof outcome === 'string') refused.push({ container, reason: outcome })
    else {
      accepted.push(outcome)
      owners.set(`${outcome.namespace}/${outcome.name}`, container)
      // A client has no ports, and its compose service is of no use to anybody; whoever names one has a use for it.
      if (container.labels[SERVICE_LABEL] && outcome.ports.length === 0) warn(WITHOUT_PORTS)
    }
  }
  for (const { container, reason } of refused) {
    problems.push({ severity: 'error', container: container.name, message: `not in the mesh: ${reason}` })
  }
  const popularity = popularityOf(accepted)
  const members = accepted.map((member) => ({
    ...member,
    addresses: addressesOf(member.container, popularity),
  }))
  return { members, refused, problems }
}

/** The node of containers that name none: the Docker host's name, as a node's in Kubernetes is its machine's. */
export function defaultNode({ hostName }: DockerSnapshot): string {
  return dnsName(hostName)
}

type Accepted = Omit<MeshContainer, 'addresses'>

const WITHOUT_PORTS = `it exposes no TCP port, so that its service has no virtual address; name them: ${PORTS_LABEL}, expose in compose, EXPOSE in the image`
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/

/** What it is, or why it cannot be in the mesh. */
function accept(
  container: Container,
  snapshot: DockerSnapshot,
  owners: ReadonlyMap<string, Container>,
): Accepted | string {
  const network = networkRefusal(container, snapshot)
  if (network !== undefined) return network
  const { labels } = container
  const own = {
    namespace: labels[NAMESPACE_LABEL] ?? dnsName(labels[COMPOSE_PROJECT_LABEL] ?? 'default'),
    name: labels[NAME_LABEL] ?? dnsName(container.name),
    node: labels[NODE_LABEL] ?? defaultNode(snapshot),
    serviceAccount: labels[SERVICE_ACCOUNT_LABEL] ?? 'default',
    service: serviceOf(labels),
  }
  const wrong =
    misnamed(NAMESPACE_LABEL, own.namespace, DNS_LABEL) ??
    misnamed(NAME_LABEL, own.name, DNS_SUBDOMAIN) ??
    misnamed(NODE_LABEL, own.node, DNS_SUBDOMAIN) ??
    misnamed(SERVICE_ACCOUNT_LABEL, own.serviceAccount, DNS_SUBDOMAIN) ??
    (own.service === undefined ? undefined : misnamed(SERVICE_LABEL, own.service, DNS_LABEL))
  if (wrong !== undefined) return wrong
  const ports = portsOf(container)
  if (typeof ports === 'string') return `label ${PORTS_LABEL}: ${ports}`
  const owner = owners.get(`${own.namespace}/${own.name}`)
  if (owner !== undefined) {
    return `${own.namespace}/${own.name} is what container ${owner.name} is called too, which is older: give each another ${NAME_LABEL}, or none, as where a service is scaled`
  }
  const ambient = labels['istio.io/dataplane-mode'] === 'ambient'
  const internal =
    container.networks.length > 0 && container.networks.every(({ id }) => snapshot.networks.get(id)?.internal)
  return { container, ...own, ports, ambient, internal }
}

/** A network namespace is captured as a whole, under one identity. */
function networkRefusal({ networkMode }: Container, { containers }: DockerSnapshot): string | undefined {
  if (networkMode === 'host') {
    return "it is in the host's network, which is never captured; give it a network of its own"
  }
  if (networkMode === 'none') return 'it has no network (network mode "none"); give it one'
  if (!networkMode.startsWith('container:')) return undefined
  const id = networkMode.slice('container:'.length)
  const owner = [...containers.values()].find((other) => other.id === id || other.name === id)
  if (owner === undefined) return 'it shares the network of a container that is gone; make it anew'
  const shares = `it shares the network of container ${owner.name}`
  return concernsMesh(owner.labels)
    ? `${shares} and is in the mesh as that one, with its identity; take the labels off this one`
    : `${shares}, which is not in the mesh; put the labels on that one`
}

function serviceOf(labels: Container['labels']): string | undefined {
  const given = labels[SERVICE_LABEL]
  if (given !== undefined) return given === '' ? undefined : given
  const composed = labels[COMPOSE_SERVICE_LABEL]
  return composed === undefined || isOneOff(labels) ? undefined : dnsName(composed)
}

function isOneOff(labels: Container['labels']): boolean {
  return labels[COMPOSE_ONE_OFF_LABEL]?.toLowerCase() === 'true'
}

function portsOf({ labels, exposedPorts }: Container): readonly ContainerServicePort[] | string {
  const given = labels[PORTS_LABEL]
  if (given !== undefined) return parseServicePorts(given)
  return exposedPorts.map((port) => ({ port, targetPort: port, appProtocol: undefined }))
}

/** Docker allows `_` and capitals, which names in Kubernetes and in DNS do not have. */
function dnsName(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-')
    .replace(/^[-.]+|[-.]+$/g, '')
}

function misnamed(label: string, value: string, pattern: RegExp): string | undefined {
  if (pattern.test(value)) return undefined
  return `"${value}" is no name for ${label}: lower-case letters, digits and "-", first and last a letter or digit; set the label`
}

/** How many containers of the mesh are in each network. */
function popularityOf(members: readonly Accepted[]): ReadonlyMap<string, number> {
  const popularity = new Map<string, number>()
  for (const { container } of members) {
    for (const { id } of container.networks) popularity.set(id, (popularity.get(id) ?? 0) + 1)
  }
  return popularity
}

/**
 * A mesh takes all of a workload's addresses for reachable, and dials the first of the right family. Docker's networks
 * do not reach each other: so first the network that most others are in too.
 */
function addressesOf(container: Container, popularity: ReadonlyMap<string, number>): readonly string[] {
  const preferred = container.labels[NETWORK_LABEL]
  const rank = ({ name, id }: Container['networks'][number]): number =>
    name === preferred ? Number.POSITIVE_INFINITY : (popularity.get(id) ?? 0)
  return [...container.networks]
    .sort((a, b) => (rank(a) === rank(b) ? compare(a.name, b.name) : rank(b) - rank(a)))
    .flatMap(({ addresses }) => addresses)
}

function byAge(a: Container, b: Container): number {
  return compare(a.created, b.created) || compare(a.id, b.id)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
