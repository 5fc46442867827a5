import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { AccessJournal } from '../src/lab/access-journal.ts'
import { runCommand, spawnIn } from '../src/lab/command.ts'
import { createNetwork } from '../src/lab/network.ts'
import { type LabSetting, type Started, startAgent, startConfigServer } from '../src/lab/processes.ts'
import { prepareState } from '../src/lab/state.ts'
import { CONTROL_PLANE, type LabNode, type LabPod, OUTSIDE, type Topology } from '../src/lab/topology.ts'
import type { ServerReport, ServerSettings } from './load/config-server.ts'
import { HTTP_PORT, type Role, Seat, TCP_PORT } from './seat.ts'

export interface MeshPlace {
  readonly name: string
  /** The mesh captures its pods; otherwise they are in no mesh. */
  readonly captured: boolean
}

/** Everything around the proxies: network, control plane, agents, applications. One seat for each peer. */
export class BenchMesh implements AsyncDisposable {
  readonly setting: LabSetting
  readonly seats: readonly Seat[]
  readonly #folder: string
  readonly #started: Started[] = []
  readonly #children = new Set<ChildProcess>()
  readonly #generated = new Map<number, Promise<number>>()

  private constructor(setting: LabSetting, seats: readonly Seat[], folder: string) {
    this.setting = setting
    this.seats = seats
    this.#folder = folder
  }

  static async start(topology: 'loopback' | 'namespaces', places: readonly MeshPlace[]): Promise<BenchMesh> {
    const folder = await mkdtemp(join(tmpdir(), 'ztunnel-bench-'))
    const mesh = new BenchMesh(...(await plan(folder, topology, places)), folder)
    try {
      await mesh.#start(places)
      return mesh
    } catch (error) {
      await mesh.close()
      throw error
    }
  }

  /** Runs a program of `load/` in a namespace to its end; its last line is JSON. */
  async load<T>(
    seat: Seat,
    where: 'node' | 'pod',
    program: string,
    argv: readonly string[],
    seconds: number,
  ): Promise<T> {
    const namespace = where === 'pod' ? seat.pod('out') : seat.node('out')
    const path = join(import.meta.dirname, 'load', program)
    const timeoutMs = (seconds + PATIENCE_SECONDS) * 1000
    const output = await runCommand(process.execPath, [path, ...argv], { namespace, timeoutMs })
    return JSON.parse(output.trim().split('\n').at(-1) ?? '') as T
  }

  /** Starts a program of `load/` in a seat's pod; resolves with its first line, which says that it is up. */
  async keep(seat: Seat, role: Role, program: string, argv: readonly string[]): Promise<ChildProcess> {
    const path = join(import.meta.dirname, 'load', program)
    const child = spawnIn(seat.pod(role), process.execPath, [path, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#children.add(child)
    if (child.stdout === null || child.stderr === null) throw new Error(`${program} has no output`)
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-MAX_SAID)
    })
    const ended = once(child, 'exit').then(() => {
      throw new Error(`${program} ended before it was up: ${said}`)
    })
    await Promise.race([once(createInterface(child.stdout), 'line'), ended])
    ended.catch(() => undefined)
    return child
  }

  async end(child: ChildProcess): Promise<void> {
    this.#children.delete(child)
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  /** Port, on the control plane's address, of a config server with a mesh of that size around the seats' own pods. */
  generated(workloads: number): Promise<number> {
    const port = this.#generated.get(workloads) ?? this.#generate(workloads)
    this.#generated.set(workloads, port)
    return port
  }

  /** Ends every process of this object's and removes network and files. */
  async close(): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.end(child)))
    await Promise.all(this.#started.map(({ component }) => component.stop()))
    await this.setting.network.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #start(places: readonly MeshPlace[]): Promise<void> {
    for (const name of namespacesOf(this.setting.topology)) {
      this.setting.network.namespace(name).run(() => {
        for (const [path, value] of KERNEL_SWITCHES) writeFileSync(`/proc/sys/net/ipv4/${path}`, value)
      })
    }
    await Promise.all(this.seats.map((seat) => this.#startSeat(seat)))
    const captured = this.seats.filter(({ name }) => places.find((place) => place.name === name)?.captured)
    if (captured.length === 0) return
    this.#started.push(startConfigServer(this.setting))
    // On loopback the proxies are their pods' own, and need nobody to hand over a namespace.
    const nodes = captured.flatMap(({ topology, nodes }) =>
      topology === 'loopback' ? [] : [nodes.out, nodes.in],
    )
    for (const { name } of nodes) this.#started.push(startAgent(this.setting, name))
    await Promise.all(this.#started.map(({ ready }) => ready))
  }

  async #startSeat(seat: Seat): Promise<void> {
    if (seat.topology === 'loopback') {
      const namespace = seat.pod('out')
      await runCommand('ip', ['address', 'add', `${seat.address}/32`, 'dev', 'lo'], { namespace })
    }
    await this.keep(seat, 'in', 'server.ts', [String(HTTP_PORT), String(TCP_PORT)])
  }

  async #generate(workloads: number): Promise<number> {
    const { address, name } = this.setting.topology.controlPlane
    const settings: ServerSettings = {
      services: Math.max(1, workloads / WORKLOADS_PER_SERVICE),
      workloads,
      certsDir: this.setting.state.certs,
      host: address,
      pods: this.seats.flatMap(({ pods }) => [pods.out, pods.in]),
    }
    const program = join(import.meta.dirname, 'load', 'config-server.ts')
    const child = this.setting.network.namespace(name).run(() => ({
      child: fork(program, [JSON.stringify(settings)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }),
    })).child
    this.#children.add(child)
    const [report] = (await once(child, 'message')) as [ServerReport]
    if (report.kind !== 'ready') throw new Error('the config server is not ready')
    return report.port
  }
}

async function plan(
  folder: string,
  kind: 'loopback' | 'namespaces',
  places: readonly MeshPlace[],
): Promise<[LabSetting, readonly Seat[]]> {
  const planned = places.map(({ name }, index) => {
    const nodes = { out: node(`${name}-out`, 2 * index), in: node(`${name}-in`, 2 * index + 1) }
    return { nodes, pods: { out: pod('client', name, nodes.out), in: pod('server', name, nodes.in) } }
  })
  const all = planned.flatMap(({ pods }) => [pods.out, pods.in])
  const topology: Topology = {
    nodes: planned.flatMap(({ nodes }) => [nodes.out, nodes.in]),
    // On loopback the client's pod is all there is; tokens are for the pods' own proxies.
    pods: kind === 'loopback' ? all.map((each) => ({ ...each, mode: 'sidecar' as const })) : all,
    services: [],
    policies: [],
    controlPlane: CONTROL_PLANE,
    outside: OUTSIDE,
    dualStack: false,
  }
  const manifests = join(folder, 'manifests')
  await mkdir(manifests)
  await writeFile(join(manifests, 'mesh.yaml'), places.map((place) => yaml(place, all)).join(''))
  const state = await prepareState({ visible: folder, secret: join(folder, 'secret') }, manifests, topology)
  const links = kind === 'loopback' ? { ...topology, pods: planned.map(({ pods }) => pods.out) } : topology
  const setting: LabSetting = {
    topology: links,
    network: await createNetwork(links),
    state,
    journal: new AccessJournal(),
    svidTtl: '24h',
    proxyEnv: {},
    dryRunPolicies: false,
  }
  const seats = planned.map(({ pods, nodes }) => new Seat({ setting, topology: kind, pods, nodes }))
  return [setting, seats]
}

function namespacesOf({ nodes, pods }: Topology): readonly string[] {
  return [...nodes.map(({ name }) => name), ...pods.map(({ netns }) => netns)]
}

function node(name: string, index: number): LabNode {
  const number = FIRST_NODE + index
  return {
    name,
    address: `172.18.0.${number}`,
    podCidr: `10.244.${number}.0/24`,
    gateway: `10.244.${number}.1`,
    ipv6: { address: '', podCidr: '', gateway: '' },
  }
}

function pod(name: string, namespace: string, { name: nodeName, gateway }: LabNode): LabPod {
  const address = gateway.replace(/\.1$/, '.10')
  return {
    id: `${namespace}/${name}`,
    netns: `${namespace}.${name}`,
    namespace,
    name,
    serviceAccount: name,
    node: nodeName,
    address,
    addresses: [address],
    mode: 'plain',
    nativeTunnel: false,
    ports: {},
  }
}

function yaml({ name, captured }: MeshPlace, pods: readonly LabPod[]): string {
  const labels = captured ? '{istio.io/dataplane-mode: ambient}' : '{}'
  const own = pods.filter(({ namespace }) => namespace === name)
  return `---
apiVersion: v1
kind: Namespace
metadata: {name: ${name}, labels: ${labels}}
${own.map(podYaml).join('')}`
}

function podYaml({ name, namespace, node: nodeName, serviceAccount, address }: LabPod): string {
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: {app: ${name}}}
spec: {nodeName: ${nodeName}, serviceAccountName: ${serviceAccount}}
status: {podIP: ${address}}
`
}

/** The lab's own nodes are below. */
const FIRST_NODE = 20
/** 10,000 services for 100,000 workloads. */
const WORKLOADS_PER_SERVICE = 10
/** For a client to start and a proxy to answer the last of its requests. */
const PATIENCE_SECONDS = 30
const MAX_SAID = 2_000

/**
 * So that a run measures proxies and not the kernel's memory of connections
 * that are closed: local ports for two rounds, none kept back for a minute.
 */
const KERNEL_SWITCHES: readonly (readonly [string, string])[] = [
  ['ip_local_port_range', '20000 65535'],
  ['tcp_tw_reuse', '1'],
]
