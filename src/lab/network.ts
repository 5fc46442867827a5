import { existsSync, writeFileSync } from 'node:fs'
import { isIPv4, isIPv6 } from 'node:net'
import { NetworkNamespace } from '../linux/index.ts'
import { type CommandOptions, runCommand } from './command.ts'
import { FABRIC, type LabNode, type LabPod, type Topology } from './topology.ts'

/** Where `ip netns` keeps the names. The lab runs with a /run of its own. */
export const NETNS_FOLDER = '/run/netns'

/** Every network namespace of a lab, open for as long as the lab runs. */
export class LabNetwork {
  readonly #namespaces: ReadonlyMap<string, NetworkNamespace>

  constructor(namespaces: ReadonlyMap<string, NetworkNamespace>) {
    this.#namespaces = namespaces
  }

  /** The namespace of a name as `ip netns list` shows it. */
  namespace(name: string): NetworkNamespace {
    const found = this.#namespaces.get(name)
    if (found === undefined) throw new Error(`no network namespace ${name}`)
    return found
  }

  /** Removes the namespaces, and with them links, addresses, routes and rules. */
  async close(): Promise<void> {
    for (const namespace of this.#namespaces.values()) namespace.close()
    const lines = [...this.#namespaces.keys()].map((name) => `netns del ${name}`)
    await ipBatch(lines, { force: true })
  }
}

/**
 * Builds the lab's network: one namespace for each node, pod and host, a veth
 * from each pod to its node and from each node to the fabric's bridge. A
 * handful of `ip -batch` calls in all, since starting `ip` costs more than what
 * it does.
 */
export async function createNetwork(
  topology: Topology,
  options: { readonly ipv6Disabled: boolean } = { ipv6Disabled: false },
): Promise<LabNetwork> {
  const plan = planNetwork(topology)
  await ipBatch([...plan.keys()].map((name) => `netns add ${name}`))
  const namespaces = new Map(
    [...plan.keys()].map((name) => [name, NetworkNamespace.open(`${NETNS_FOLDER}/${name}`)]),
  )
  await ipBatch(planLinks(topology))
  await Promise.all(
    [...namespaces].map(async ([name, namespace]) => {
      setKernelSwitches(namespace, options.ipv6Disabled)
      await ipBatch(plan.get(name) ?? [], { namespace })
    }),
  )
  return new LabNetwork(namespaces)
}

/** The name of a pod's link on its node, from the last number of its address: `pod-10`. */
export function podLink(pod: LabPod): string {
  return `pod-${pod.address.split(/[.:]/).at(-1)}`
}

/** All links at once; both ends are made where they belong. */
function planLinks(topology: Topology): readonly string[] {
  const veth = (name: string, where: string, peer: string, peerWhere: string): string =>
    `link add name ${name} netns ${where} type veth peer name ${peer} netns ${peerWhere}`
  const machines = [...topology.nodes, topology.controlPlane, topology.outside]
  return [
    ...machines.map(({ name }) => veth('eth0', name, name, FABRIC)),
    ...topology.pods.map((pod) => veth('eth0', pod.netns, podLink(pod), pod.node)),
  ]
}

/** `ip` lines by namespace. */
function planNetwork(topology: Topology): ReadonlyMap<string, readonly string[]> {
  const { nodes, pods, controlPlane, outside, dualStack } = topology
  const machines = [...nodes, controlPlane, outside].map(({ name }) => name)
  const podRoutes = nodes.flatMap((node) => podRoute(node, dualStack))
  const plan = new Map<string, readonly string[]>()
  plan.set(FABRIC, [
    'link set lo up',
    'link add br0 type bridge',
    'link set br0 up',
    ...machines.flatMap((name) => [`link set ${name} master br0`, `link set ${name} up`]),
  ])
  for (const node of nodes) plan.set(node.name, planNode(node, topology))
  plan.set(controlPlane.name, [
    ...uplink(controlPlane.address, 'eth0'),
    ...uplink6(controlPlane, topology),
    ...podRoutes,
  ])
  plan.set(outside.name, [
    ...uplink(outside.address, 'eth0'),
    ...uplink6(outside, topology),
    'route add 172.18.0.0/24 dev eth0',
    ...(dualStack ? [`route add ${FABRIC_CIDR6} dev eth0`] : []),
    ...podRoutes,
  ])
  for (const pod of pods) {
    const node = nodes.find(({ name }) => name === pod.node)
    if (node !== undefined) plan.set(pod.netns, planPod(pod, node))
  }
  return plan
}

/** Pods are reached by a route each, as Kubernetes' simple network plug-ins do it, so that nothing depends on ARP. */
function planNode(node: LabNode, topology: Topology): readonly string[] {
  const { nodes, pods, outside, dualStack } = topology
  const local = pods.filter((pod) => pod.node === node.name)
  const others = nodes.filter((other) => other !== node)
  return [
    ...uplink(node.address, 'eth0'),
    ...uplink6({ ipv6: node.ipv6.address }, topology),
    `route add ${outside.address.replace(/\d+$/, '0')}/24 dev eth0`,
    ...(dualStack ? [`route add ${outside.ipv6.replace(/\w+$/, '')}/64 dev eth0`] : []),
    ...others.flatMap((other) => podRoute(other, dualStack)),
    ...local.flatMap((pod) => [
      `link set ${podLink(pod)} up`,
      `address add ${node.gateway}/32 dev ${podLink(pod)}`,
      ...(dualStack ? [`address add ${node.ipv6.gateway}/128 dev ${podLink(pod)} nodad`] : []),
      ...pod.addresses.map((address) => `route add ${host(address)} dev ${podLink(pod)}`),
    ]),
  ]
}

/** Also a neighbour on the same node is reached through the node: a pod is alone on its link. */
function planPod(pod: LabPod, node: LabNode): readonly string[] {
  const has = (family: (address: string) => boolean): boolean => pod.addresses.some(family)
  const gateways = [...(has(isIPv4) ? [node.gateway] : []), ...(has(isIPv6) ? [node.ipv6.gateway] : [])]
  return [
    'link set lo up',
    ...pod.addresses.map(
      (address) => `address add ${host(address)} dev eth0${isIPv6(address) ? ' nodad' : ''}`,
    ),
    'link set eth0 up',
    ...gateways.flatMap((gateway) => [
      `route add ${host(gateway)} dev eth0${isIPv6(gateway) ? '' : ' scope link'}`,
      `route add ${isIPv6(gateway) ? '::/0' : 'default'} via ${gateway} dev eth0`,
    ]),
  ]
}

/** The way to a node's pods. */
function podRoute(node: LabNode, dualStack: boolean): readonly string[] {
  return [
    `route add ${node.podCidr} via ${node.address}`,
    ...(dualStack ? [`route add ${node.ipv6.podCidr} via ${node.ipv6.address}`] : []),
  ]
}

function host(address: string): string {
  return `${address}/${isIPv6(address) ? 128 : 32}`
}

function uplink(address: string, link: string): readonly string[] {
  return ['link set lo up', `address add ${address}/24 dev ${link}`, `link set ${link} up`]
}

/** `nodad`: duplicate address detection would hold the address back for a second, and there are no duplicates. */
function uplink6({ ipv6 }: { readonly ipv6: string }, { dualStack }: Topology): readonly string[] {
  return dualStack ? [`address add ${ipv6}/64 dev eth0 nodad`] : []
}

/**
 * Nodes route for their pods. The reverse-path filter goes, since a host may
 * have it on by default, and it would drop what comes back to a socket that
 * uses the client's address.
 */
function setKernelSwitches(namespace: NetworkNamespace, ipv6Disabled: boolean): void {
  namespace.run(() => {
    for (const [path, value] of KERNEL_SWITCHES) writeFileSync(`/proc/sys/net/${path}`, value)
    // Absent where the kernel was started without IPv6; a lab of IPv4 does without.
    if (!existsSync(IPV6_FORWARDING)) return
    writeFileSync(IPV6_FORWARDING, '1')
    if (!ipv6Disabled) return
    for (const which of ['all', 'default', 'lo']) {
      writeFileSync(`/proc/sys/net/ipv6/conf/${which}/disable_ipv6`, '1')
    }
  })
}

const FABRIC_CIDR6 = 'fd00:172:18::/64'
const IPV6_FORWARDING = '/proc/sys/net/ipv6/conf/all/forwarding'

const KERNEL_SWITCHES: readonly (readonly [string, string])[] = [
  ['ipv4/ip_forward', '1'],
  ['ipv4/conf/all/rp_filter', '0'],
  ['ipv4/conf/default/rp_filter', '0'],
]

/** Runs many `ip` commands in one process. `force` goes on after an error, for tearing down. */
async function ipBatch(
  lines: readonly string[],
  options: { readonly namespace?: NetworkNamespace; readonly force?: boolean } = {},
): Promise<void> {
  if (lines.length === 0) return
  const command: CommandOptions = {
    input: `${lines.join('\n')}\n`,
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
    ...(options.force === undefined ? {} : { allowFailure: options.force }),
  }
  await runCommand('ip', [...(options.force === true ? ['-force'] : []), '-batch', '-'], command)
}
