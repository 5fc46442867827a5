import { isIPv6 } from 'node:net'
import {
  isCaptured,
  type KubernetesObjects,
  loadFolder,
  type Pod,
  TUNNEL_LABEL,
} from '../xds/kubernetes/index.ts'
import { GATEWAY_NAME_LABEL, WAYPOINT_CLASS } from '../xds/kubernetes/waypoint-bindings.ts'
import { LabError } from './errors.ts'

/** A machine of the lab: a network namespace with an uplink and a subnet of pods. */
export interface LabNode {
  readonly name: string
  /** On the fabric, 172.18.0.0/24. */
  readonly address: string
  /** `10.244.1.0/24` */
  readonly podCidr: string
  /** The node's own address in the pod subnet: the pods' default route. */
  readonly gateway: string
  /** The same three in IPv6; in use where {@link Topology.dualStack}. */
  readonly ipv6: { readonly address: string; readonly podCidr: string; readonly gateway: string }
}

/** How a pod takes part in the mesh. */
export type PodMode = 'ambient' | 'sidecar' | 'plain'

export interface LabPod {
  /** `namespace/name`, what a user calls it. */
  readonly id: string
  /** Name of its network namespace, `namespace.name`. */
  readonly netns: string
  readonly namespace: string
  readonly name: string
  readonly serviceAccount: string
  readonly node: string
  /** Its first IPv4 address, or its only IPv6 one. */
  readonly address: string
  /** All, in the manifest's order. */
  readonly addresses: readonly string[]
  readonly mode: PodMode
  /** A sidecar that terminates HBONE by itself. */
  readonly nativeTunnel: boolean
  /** `namespace/name` of the Gateway whose waypoint runs in it; left out for all others. */
  readonly gateway?: string
  /** Ports of its application; a pod without any is a client. */
  readonly ports: { readonly http?: number; readonly tcp?: number }
}

export interface LabService {
  /** Short names, `web.foo`, that resolve inside the lab besides the full one. */
  readonly hostname: string
  readonly namespace: string
  readonly name: string
  /** Its first IPv4 address, or its only IPv6 one. */
  readonly address: string
  /** All, in the manifest's order. */
  readonly addresses: readonly string[]
}

/** A machine on the fabric that is no node. */
export interface LabHost {
  readonly name: string
  readonly address: string
  /** In use where {@link Topology.dualStack}. */
  readonly ipv6: string
}

export interface Topology {
  readonly nodes: readonly LabNode[]
  readonly pods: readonly LabPod[]
  readonly services: readonly LabService[]
  /** AuthorizationPolicies by `namespace/name`. */
  readonly policies: readonly string[]
  readonly controlPlane: LabHost
  readonly outside: LabHost
  /** Some pod has an IPv6 address: every machine then has one too. */
  readonly dualStack: boolean
}

/** The fabric's namespace: one bridge, every node, nothing else. */
export const FABRIC = 'fabric'
/** Where the config server answers xDS and CA requests. */
export const CONTROL_PLANE: LabHost = {
  name: 'control-plane',
  address: '172.18.0.10',
  ipv6: 'fd00:172:18::10',
}
/** A server that is in no mesh (203.0.113.0/24 is TEST-NET-3, RFC 5737; 2001:db8::/32 is its like, RFC 3849). */
export const OUTSIDE: LabHost = { name: 'outside', address: '203.0.113.10', ipv6: '2001:db8::10' }
/** Ports of the application on the outside host. */
export const OUTSIDE_PORTS = { http: 8000, tcp: 9000 } as const

/** Four nodes. */
export const NODES: readonly LabNode[] = ['a', 'b', 'c', 'd'].map((letter, index) => ({
  name: `node-${letter}`,
  address: `172.18.0.${11 + index}`,
  podCidr: `10.244.${1 + index}.0/24`,
  gateway: `10.244.${1 + index}.1`,
  ipv6: {
    address: `fd00:172:18::${11 + index}`,
    podCidr: `fd00:10:244:${1 + index}::/64`,
    gateway: `fd00:10:244:${1 + index}::1`,
  },
}))

/** Reads the pods and services of a folder of Kubernetes YAML. Throws LabError `bad-manifest`. */
export async function loadTopology(manifests: string): Promise<Topology> {
  const { objects, problems } = await loadFolder(manifests)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) {
    const lines = errors.map(({ file, line, field, message }) => `  ${file}:${line ?? 0} ${field} ${message}`)
    throw new LabError('bad-manifest', `${manifests} cannot be used:\n${lines.join('\n')}`)
  }
  const pods = [...objects.pods.values()]
    .filter((pod) => !isNodeProxy(pod))
    .map((pod) => toLabPod(pod, objects))
  return {
    nodes: NODES,
    pods,
    services: servicesOf(objects),
    policies: [...objects.authorizationPolicies.keys()],
    controlPlane: CONTROL_PLANE,
    outside: OUTSIDE,
    dualStack: pods.some(({ addresses }) => addresses.some(isIPv6)),
  }
}

/** Every network namespace of the lab but the fabric, by the name that a user types. */
export function namespaceOf(topology: Topology, name: string): string {
  const pod = topology.pods.find(({ id }) => id === name)
  if (pod !== undefined) return pod.netns
  const others = [
    FABRIC,
    ...topology.nodes.map((node) => node.name),
    topology.controlPlane.name,
    topology.outside.name,
  ]
  if (others.includes(name)) return name
  const known = [...topology.pods.map(({ id }) => id), ...others].join(', ')
  throw new LabError('unknown-namespace', `the lab has no ${name}; it has ${known}`)
}

/** By istio-cni's label. The lab runs one on each node; a manifest only gives it a name and an identity. */
function isNodeProxy({ metadata }: Pod): boolean {
  return metadata.labels['app'] === 'ztunnel'
}

function toLabPod(pod: Pod, objects: KubernetesObjects): LabPod {
  const { namespace, name } = pod.metadata
  const id = `${namespace}/${name}`
  const addresses = pod.status.podIPs
  const address = preferred(addresses)
  const node = NODES.find((candidate) => candidate.name === pod.spec.nodeName)
  if (address === undefined)
    throw new LabError('bad-manifest', `pod ${id} has no status.podIP: the lab needs fixed ones`)
  if (node === undefined) {
    const known = NODES.map((candidate) => candidate.name).join(', ')
    throw new LabError('bad-manifest', `pod ${id} is on node "${pod.spec.nodeName}"; the lab has ${known}`)
  }
  requireInSubnet(id, addresses, node)
  const port = (portName: string): number | undefined =>
    pod.spec.ports.find((candidate) => candidate.name === portName)?.containerPort
  const [http, tcp] = [port('http'), port('tcp')]
  const gateway = gatewayOf(pod, objects)
  return {
    id,
    netns: `${namespace}.${name}`,
    namespace,
    name,
    serviceAccount: pod.spec.serviceAccountName,
    node: node.name,
    address,
    addresses,
    mode: modeOf(pod, objects),
    nativeTunnel: pod.metadata.labels[TUNNEL_LABEL] === 'http',
    ...(gateway === undefined ? {} : { gateway }),
    ports: { ...(http === undefined ? {} : { http }), ...(tcp === undefined ? {} : { tcp }) },
  }
}

function requireInSubnet(id: string, addresses: readonly string[], node: LabNode): void {
  for (const address of addresses) {
    const { gateway, podCidr } = isIPv6(address) ? node.ipv6 : node
    if (address.startsWith(gateway.slice(0, -1))) continue
    throw new LabError('bad-manifest', `pod ${id} has ${address}, which is not in ${podCidr} of ${node.name}`)
  }
}

/** IPv4 first: what the lab shows and dials unless it is asked for the other. */
function preferred(addresses: readonly string[]): string | undefined {
  return addresses.find((address) => !isIPv6(address)) ?? addresses[0]
}

/** A sidecar wins over the namespace's ambient label, as in Istio. */
function modeOf(pod: Pod, objects: KubernetesObjects): PodMode {
  if (pod.metadata.labels['sidecar.istio.io/inject'] === 'true') return 'sidecar'
  return isCaptured(pod, objects.namespaces.get(pod.metadata.namespace)) ? 'ambient' : 'plain'
}

/** An instance of a waypoint that ends HBONE by itself; one behind the node's proxy is not the lab's to run. */
function gatewayOf({ metadata }: Pod, { gateways }: KubernetesObjects): string | undefined {
  const gateway = `${metadata.namespace}/${metadata.labels[GATEWAY_NAME_LABEL] ?? ''}`
  if (gateways.get(gateway)?.spec.gatewayClassName !== WAYPOINT_CLASS) return undefined
  return metadata.labels[TUNNEL_LABEL] === 'http' ? gateway : undefined
}

function servicesOf(objects: KubernetesObjects): readonly LabService[] {
  return [...objects.services.values()].flatMap(({ metadata, spec }) => {
    const addresses = spec.clusterIPs
    const address = preferred(addresses)
    if (address === undefined) return []
    const { namespace, name } = metadata
    return [{ namespace, name, address, addresses, hostname: `${name}.${namespace}.svc.cluster.local` }]
  })
}
