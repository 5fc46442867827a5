import { writeFileSync } from 'node:fs'
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
export async function createNetwork(topology: Topology): Promise<LabNetwork> {
  const plan = planNetwork(topology)
  await ipBatch([...plan.keys()].map((name) => `netns add ${name}`))
  const namespaces = new Map(
    [...plan.keys()].map((name) => [name, NetworkNamespace.open(`${NETNS_FOLDER}/${name}`)]),
  )
  await ipBatch(planLinks(topology))
  await Promise.all(
    [...namespaces].map(async ([name, namespace]) => {
      setKernelSwitches(namespace)
      await ipBatch(plan.get(name) ?? [], { namespace })
    }),
  )
  return new LabNetwork(namespaces)
}

/** The name of a pod's link on its node, from the last number of its address: `pod-10`. */
export function podLink(pod: LabPod): string {
  return `pod-${pod.address.split('.').at(-1)}`
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
  const { nodes, pods, controlPlane, outside } = topology
  const machines = [...nodes, controlPlane, outside].map(({ name }) => name)
  const podRoutes = nodes.map(({ podCidr, address }) => `route add ${podCidr} via ${address}`)
  const plan = new Map<string, readonly string[]>()
  plan.set(FABRIC, [
    'link set lo up',
    'link add br0 type bridge',
    'link set br0 up',
    ...machines.flatMap((name) => [`link set ${name} master br0`, `link set ${name} up`]),
  ])
  for (const node of nodes) plan.set(node.name, planNode(node, topology))
  plan.set(controlPlane.name, [...uplink(controlPlane.address, 'eth0'), ...podRoutes])
  plan.set(outside.name, [
    ...uplink(outside.address, 'eth0'),
    'route add 172.18.0.0/24 dev eth0',
    ...podRoutes,
  ])
  for (const pod of pods) {
    const gateway = nodes.find(({ name }) => name === pod.node)?.gateway ?? ''
    plan.set(pod.netns, planPod(pod, gateway))
  }
  return plan
}

/** Pods are reached by a route each, as Kubernetes' simple network plug-ins do it, so that nothing depends on ARP. */
function planNode(node: LabNode, { nodes, pods, outside }: Topology): readonly string[] {
  const local = pods.filter((pod) => pod.node === node.name)
  const others = nodes.filter((other) => other !== node)
  return [
    ...uplink(node.address, 'eth0'),
    `route add ${outside.address.replace(/\d+$/, '0')}/24 dev eth0`,
    ...others.map(({ podCidr, address }) => `route add ${podCidr} via ${address}`),
    ...local.flatMap((pod) => [
      `link set ${podLink(pod)} up`,
      `address add ${node.gateway}/32 dev ${podLink(pod)}`,
      `route add ${pod.address}/32 dev ${podLink(pod)}`,
    ]),
  ]
}

/** Also a neighbour on the same node is reached through the node: a pod is alone on its link. */
function planPod(pod: LabPod, gateway: string): readonly string[] {
  return [
    'link set lo up',
    `address add ${pod.address}/32 dev eth0`,
    'link set eth0 up',
    `route add ${gateway}/32 dev eth0 scope link`,
    `route add default via ${gateway} dev eth0`,
  ]
}

function uplink(address: string, link: string): readonly string[] {
  return ['link set lo up', `address add ${address}/24 dev ${link}`, `link set ${link} up`]
}

/**
 * Nodes route for their pods. The reverse-path filter goes, since a host may
 * have it on by default, and it would drop what comes back to a socket that
 * uses the client's address.
 */
function setKernelSwitches(namespace: NetworkNamespace): void {
  namespace.run(() => {
    for (const [path, value] of KERNEL_SWITCHES) writeFileSync(`/proc/sys/net/${path}`, value)
  })
}

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
