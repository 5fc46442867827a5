import type {
  ContainerPort,
  KubernetesObjects,
  ObjectMeta,
  Pod,
  Service,
  ServicePort,
} from '../xds/kubernetes/index.ts'
import type { MeshContainer } from './fleet.ts'
import { ANNOTATIONS, type ContainerProblem, SERVICE_LABEL, SERVICE_LABELS } from './labels.ts'
import type { Container } from './model.ts'
import type { ContainerServicePort } from './service-ports.ts'
import { allocateVirtualAddresses, type VirtualAddresses } from './virtual-addresses.ts'

/**
 * A container as the Pod that it would be in Kubernetes: what translates Pods then has nothing to learn of Docker.
 * `gateways` are those that the container may name as its waypoint.
 */
export function podOf(member: MeshContainer, gateways: KubernetesObjects['gateways']): Pod {
  const { container, name, namespace, node, serviceAccount, service } = member
  const { labels } = container
  return {
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: {
        ...(service !== undefined && { app: service }),
        // Only the container's own word counts: its agent reads no Namespaces.
        'istio.io/dataplane-mode': 'none',
        ...(servedByWaypoint(member, 'workload', gateways) ? labels : without(labels, SERVICE_LABELS)),
        ...(service !== undefined && { [SERVICE_LABEL]: service }),
      },
      annotations: { 'sidecar.istio.io/inject': 'false', ...pick(labels, ANNOTATIONS) },
      creationTimestamp: container.created,
      deletionTimestamp: undefined,
      ownerReferences: service === undefined ? [] : [{ kind: 'Deployment', name: service, controller: true }],
    },
    spec: {
      nodeName: node,
      serviceAccountName: serviceAccount,
      hostNetwork: false,
      ports: member.ports.map(containerPort),
    },
    status: {
      phase: container.running ? 'Running' : 'Succeeded',
      podIPs: member.addresses,
      conditions: [{ type: 'Ready', status: isReady(container) ? 'True' : 'False' }],
    },
  }
}

/** The services that containers are endpoints of, and what is wrong with them. */
export interface FleetServices {
  readonly services: readonly Service[]
  readonly problems: readonly ContainerProblem[]
}

/**
 * One Service for each that containers name; stopped ones count, so that a name stays while its containers restart.
 * `besides` are the objects of others: no virtual address of theirs is given away again.
 */
export function servicesOf(members: readonly MeshContainer[], besides: KubernetesObjects): FleetServices {
  const byKey = new Map<string, Backends>()
  for (const member of members) {
    const { namespace, service: name, container } = member
    if (name === undefined) continue
    const key = `${namespace}/${name}`
    const known = byKey.get(key) ?? { name, namespace, created: container.created, backends: [] }
    byKey.set(key, known)
    known.backends.push(member)
  }
  const addresses = allocateVirtualAddresses(byKey.keys(), addressesIn(besides))
  const problems: ContainerProblem[] = []
  const services = [...byKey].map(([key, backends]) =>
    serviceOf(backends, addresses.get(key), besides.gateways, problems),
  )
  return { services, problems }
}

/** A service's containers, oldest first. */
interface Backends {
  readonly name: string
  readonly namespace: string
  readonly created: string
  readonly backends: MeshContainer[]
}

function serviceOf(
  { name, namespace, created, backends }: Backends,
  addresses: VirtualAddresses | undefined,
  gateways: KubernetesObjects['gateways'],
  problems: ContainerProblem[],
): Service {
  const ports = portsOf(backends, problems)
  // Without a port nothing could be reached by a virtual address; without a route out, not the address.
  const headless = ports.length === 0 || addresses === undefined || backends.every(({ internal }) => internal)
  const hasIpv6 = backends.some((backend) => backend.addresses.some((address) => address.includes(':')))
  const bound = backends.filter((backend) => servedByWaypoint(backend, 'service', gateways))
  const labels = labelsOf(bound, problems)
  return {
    kind: 'Service',
    metadata: {
      name,
      namespace,
      labels,
      annotations: {},
      creationTimestamp: created,
      deletionTimestamp: undefined,
      ownerReferences: [],
    },
    spec: {
      type: 'ClusterIP',
      clusterIPs: headless ? [] : [addresses.ipv4, ...(hasIpv6 ? [addresses.ipv6] : [])],
      headless,
      selector: { [SERVICE_LABEL]: name },
      ports,
      ipFamilies: [],
      internalTrafficPolicy: 'Cluster',
      trafficDistribution: undefined,
      publishNotReadyAddresses: false,
    },
  }
}

/** Each leads, in each container, where the container says. */
function portsOf(backends: readonly MeshContainer[], problems: ContainerProblem[]): readonly ServicePort[] {
  const ports = new Map<number, ContainerServicePort>()
  for (const { container, service, ports: own } of backends) {
    for (const port of own) {
      const earlier = ports.get(port.port)
      if (earlier === undefined || (earlier.appProtocol === undefined && port.appProtocol !== undefined)) {
        ports.set(port.port, port)
      } else if (port.appProtocol !== undefined && port.appProtocol !== earlier.appProtocol) {
        const message = `port ${port.port} of service ${service} is ${port.appProtocol} here and ${earlier.appProtocol} in an older container, which counts`
        problems.push({ severity: 'warning', container: container.name, message })
      }
    }
  }
  return [...ports.values()]
    .sort((a, b) => a.port - b.port)
    .map(({ port, appProtocol }) => ({
      name: portName(port),
      port,
      targetPort: portName(port),
      protocol: 'TCP',
      // What is not said is not guessed from the port's name.
      appProtocol,
    }))
}

/** The oldest container that says anything decides; the others should say the same. */
function labelsOf(backends: readonly MeshContainer[], problems: ContainerProblem[]): ObjectMeta['labels'] {
  const labels: Record<string, string> = {}
  for (const { container, service } of backends) {
    for (const [label, value] of Object.entries(pick(container.labels, SERVICE_LABELS))) {
      labels[label] ??= value
      if (labels[label] === value) continue
      const message = `label ${label} of service ${service} is "${value}" here and "${labels[label]}" in an older container, which counts`
      problems.push({ severity: 'warning', container: container.name, message })
    }
  }
  return labels
}

function addressesIn({ services, serviceEntries }: KubernetesObjects): ReadonlySet<string> {
  return new Set([
    ...[...services.values()].flatMap(({ spec }) => spec.clusterIPs),
    ...[...serviceEntries.values()].flatMap(({ spec, status }) => [
      ...spec.addresses,
      ...status.addresses.map(({ value }) => value),
    ]),
  ])
}

/** A container without a health check is ready while it runs; one that is paused answers nobody. */
function isReady({ status, health }: Container): boolean {
  return status === 'running' && (health === 'healthy' || health === 'none')
}

function containerPort({ port, targetPort }: ContainerServicePort): ContainerPort {
  return { name: portName(port), containerPort: targetPort, protocol: 'TCP' }
}

function portName(port: number): string {
  return `port-${port}`
}

function pick(
  labels: Readonly<Record<string, string>>,
  keys: readonly string[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => keys.includes(key)))
}

function without(
  labels: Readonly<Record<string, string>>,
  keys: readonly string[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !keys.includes(key)))
}

/**
 * A container's `istio.io/use-waypoint` may be meant for it or for its service: for what the waypoint serves. Where
 * there is no such waypoint, for the service, so that the warning comes once.
 */
function servedByWaypoint(
  { container: { labels }, namespace, service }: MeshContainer,
  kind: 'service' | 'workload',
  gateways: KubernetesObjects['gateways'],
): boolean {
  const [use, useNamespace] = [labels[USE_WAYPOINT], labels[USE_WAYPOINT_NAMESPACE]]
  if (use === undefined || use === 'none' || service === undefined) return true
  const gateway = gateways.get(`${useNamespace ?? namespace}/${use}`)
  const serves = gateway?.metadata.labels[WAYPOINT_FOR] ?? 'service'
  return serves === 'all' || serves === kind
}

const USE_WAYPOINT = 'istio.io/use-waypoint'
const USE_WAYPOINT_NAMESPACE = 'istio.io/use-waypoint-namespace'
const WAYPOINT_FOR = 'istio.io/waypoint-for'
