import { mkdtemp, rm } from 'node:fs/promises'
import { isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { applyRedirection } from '../linux/index.ts'
import { AccessJournal } from './access-journal.ts'
import type { AccessRecord } from './access-record.ts'
import { defaultManifests } from './app.ts'
import { type ClientReport, type ClientRequest, runClient } from './client.ts'
import { runCommand } from './command.ts'
import type { Component } from './component.ts'
import { EnvoySidecars } from './envoy-sidecar.ts'
import { LabError } from './errors.ts'
import { httpGetIn, type ProbeResponse } from './http-probe.ts'
import { createNetwork, type LabNetwork } from './network.ts'
import {
  CONFIG_SERVER,
  type LabSetting,
  type Started,
  startAgent,
  startApplications,
  startConfigServer,
  startNodeProxy,
  startSidecar,
  startWaypoint,
} from './processes.ts'
import { rejection } from './rejection.ts'
import { type LabFolders, type LabState, prepareState } from './state.ts'
import { type LabPod, loadTopology, namespaceOf, type Topology } from './topology.ts'

export interface LabOptions {
  /** Folder of Kubernetes YAML. Default: `labs/coexistence`. */
  readonly manifests?: string
  /** Default: a new folder under the system's temporary one, removed at the end. */
  readonly folders?: LabFolders
  /** Lifetime of workload certificates. Default `24h`. */
  readonly svidTtl?: string
  /** Added to the environment of every proxy. */
  readonly proxyEnv?: Readonly<Record<string, string>>
  /** Have policies marked `istio.io/dry-run` evaluated and logged, as `config-server --dry-run-policies` does. Default false. */
  readonly dryRunPolicies?: boolean
  /** Switch IPv6 off in every namespace (`net.ipv6.conf.*.disable_ipv6`), as many machines have it. Default false. */
  readonly ipv6Disabled?: boolean
  /** Program of an Envoy that takes the sidecars' seats. Default: our own proxy does, as Istio's dedicated mode. */
  readonly envoy?: string
  /** Run `ztunnel waypoint` in the pods of waypoints. Default true; without, their seats stay empty. */
  readonly waypoints?: boolean
  readonly onProgress?: (progress: LabProgress) => void
  /** Gives up a start that is under way. */
  readonly signal?: AbortSignal
}

/** What a starting lab tells, in order. */
export type LabProgress =
  | { readonly kind: 'phase'; readonly what: string; readonly milliseconds: number }
  | {
      readonly kind: 'ready'
      readonly component: string
      readonly ready: number
      readonly total: number
      readonly milliseconds: number
    }

/** Where a connection goes: a pod's application by its pod IP or by its service's VIP, or the host outside. */
export interface Target {
  /** `namespace/name`, or `outside`. */
  readonly to: string
  readonly by: 'pod' | 'service'
  readonly port: 'http' | 'tcp'
  /** Which of its addresses; default IPv4 where it has one. */
  readonly family?: 4 | 6
}

/**
 * A whole mesh on this machine: nodes, pods, proxies, agents, config server
 * and applications. The caller must be root of a private network and mount
 * namespace with a /run of its own, which `ztunnel lab` and the test runner
 * see to. Rejects with LabError, leaving nothing behind.
 */
export async function startLab(options: LabOptions = {}): Promise<MeshLab> {
  const clock = stopwatch(options.onProgress)
  const manifests = options.manifests ?? defaultManifests()
  const topology = await loadTopology(manifests)
  const own = options.folders === undefined ? await mkdtemp(join(tmpdir(), 'ztunnel-lab-')) : undefined
  const folders = options.folders ?? { visible: own ?? '', secret: join(own ?? '', 'secret') }
  const state = await prepareState(folders, manifests, topology)
  const network = await createNetwork(topology, { ipv6Disabled: options.ipv6Disabled ?? false })
  clock.phase(`${topology.nodes.length} nodes and ${topology.pods.length} pods, each a network namespace`)
  const setting: LabSetting = {
    topology,
    network,
    state,
    journal: new AccessJournal(),
    svidTtl: options.svidTtl ?? '24h',
    proxyEnv: options.proxyEnv ?? {},
    dryRunPolicies: options.dryRunPolicies ?? false,
  }
  const envoys = options.envoy === undefined ? undefined : new EnvoySidecars(setting, options.envoy)
  const lab = new MeshLab(setting, own, envoys)
  try {
    await lab.start(clock, options.waypoints ?? true, options.signal)
    return lab
  } catch (error) {
    await lab.close()
    throw error
  }
}

/** A running lab. */
export class MeshLab implements AsyncDisposable {
  readonly topology: Topology
  readonly network: LabNetwork
  readonly state: LabState
  /** What the proxies said about each connection. */
  readonly journal: AccessJournal
  readonly #setting: LabSetting
  readonly #ownFolder: string | undefined
  readonly #envoys: EnvoySidecars | undefined
  readonly #components = new Map<string, Component>()
  #marker = 0
  #sidecarProxy = 'ztunnel'

  constructor(setting: LabSetting, ownFolder: string | undefined, envoys?: EnvoySidecars) {
    this.#setting = setting
    this.#ownFolder = ownFolder
    this.#envoys = envoys
    this.topology = setting.topology
    this.network = setting.network
    this.state = setting.state
    this.journal = setting.journal
  }

  /** Called once by `startLab`. */
  async start(clock: Stopwatch, withWaypoints: boolean, signal?: AbortSignal): Promise<void> {
    const { topology } = this
    const sidecars = topology.pods.filter(({ mode }) => mode === 'sidecar')
    const waypoints = withWaypoints ? topology.pods.filter(({ gateway }) => gateway !== undefined) : []
    // Rules before processes: no connection of a pod ever goes past its proxy.
    await Promise.all(sidecars.map((pod) => this.#redirectSidecar(pod)))
    if (sidecars.length > 0) clock.phase(`redirection rules in ${sidecars.length} pods with a sidecar`)
    await this.#envoys?.prepare(sidecars)
    const started = [
      startConfigServer(this.#setting),
      ...this.#ambientNodes().flatMap((node) => [
        startNodeProxy(this.#setting, node),
        startAgent(this.#setting, node),
      ]),
      ...sidecars.map((pod) => this.#envoys?.start(pod) ?? startSidecar(this.#setting, pod)),
      ...waypoints.map((pod) => startWaypoint(this.#setting, pod)),
      ...startApplications(this.#setting),
    ]
    for (const { component } of started) this.#components.set(component.name, component)
    await Promise.race([allReady(started, clock), ...(signal === undefined ? [] : [rejection(signal)])])
    clock.phase('every proxy has its configuration, its certificates and its pods')
    const [first] = sidecars
    if (this.#envoys === undefined || first === undefined) return
    this.#sidecarProxy = await this.#envoys.version(first)
    clock.phase(`${this.#sidecarProxy} is the sidecar of ${sidecars.map(({ id }) => id).join(', ')}`)
  }

  /** Who is in the sidecars' seats: `ztunnel`, or as it calls itself, `Envoy 1.40.0`. */
  get sidecarProxy(): string {
    return this.#sidecarProxy
  }

  /** Runs a client program in a pod. Resolves with what it saw, also when the connection failed. */
  connect(from: string, request: ClientRequest): Promise<ClientReport> {
    return runClient(this.network.namespace(namespaceOf(this.topology, from)), request)
  }

  /** One HTTP GET from a pod's client program to another pod's application. */
  get(from: string, target: Target, path = '/'): Promise<ClientReport> {
    return this.connect(from, { kind: 'http', path, marker: this.newMarker(), ...this.resolve(target) })
  }

  /** Address and port of a target. */
  resolve({ to, by, port, family }: Target): { host: string; port: number } {
    const { outside, pods, services } = this.topology
    if (to === outside.name)
      return { host: family === 6 ? outside.ipv6 : outside.address, port: port === 'http' ? 8000 : 9000 }
    const [namespace, name] = to.split('/')
    if (by === 'service') {
      const service = services.find(
        (candidate) => candidate.namespace === namespace && candidate.name === name,
      )
      if (service === undefined) throw new LabError('unknown-namespace', `the lab has no service ${to}`)
      return { host: addressOf(service, family), port: port === 'http' ? 80 : 9000 }
    }
    const pod = pods.find(({ id }) => id === to)
    const number = pod?.ports[port]
    if (pod === undefined || number === undefined) {
      throw new LabError('unknown-namespace', `the lab has no pod ${to} with a port named ${port}`)
    }
    return { host: addressOf(pod, family), port: number }
  }

  /** Text that occurs nowhere else: found on a wire, the connection that carries it is in the clear. */
  newMarker(): string {
    this.#marker += 1
    return `lab-marker-${process.pid}-${this.#marker}-${Math.random().toString(36).slice(2)}`
  }

  /** The end of every connection so far, as the proxies logged them. */
  proxyLogs(): readonly AccessRecord[] {
    return this.journal.since(0)
  }

  /** A question to the admin port of a node's proxy or of a pod's sidecar, e.g. `/config_dump`. */
  admin(nodeOrPod: string, path: string): Promise<ProbeResponse> {
    return httpGetIn(this.network.namespace(namespaceOf(this.topology, nodeOrPod)), ADMIN_PORT, path)
  }

  /**
   * A process by name: `ztunnel@node-a`, `agent@node-a`, `sidecar@bar/httpbin`, `waypoint@bar-2/waypoint`,
   * `app@foo/web`, `config-server`.
   */
  component(name: string): Component {
    const found = this.#components.get(name)
    if (found !== undefined) return found
    const known = [...this.#components.keys()].join(', ')
    throw new LabError('unknown-namespace', `the lab runs no ${name}; it runs ${known}`)
  }

  get components(): readonly Component[] {
    return [...this.#components.values()]
  }

  async stopConfigServer(): Promise<void> {
    await this.component(CONFIG_SERVER).stop()
  }

  async startConfigServer(): Promise<void> {
    const { component, ready } = startConfigServer(this.#setting)
    this.#components.set(component.name, component)
    await ready
  }

  /** Starts the waypoint of a pod, `namespace/name`, again after it has ended. Resolves when it is ready. */
  async startWaypoint(id: string): Promise<void> {
    const pod = this.topology.pods.find((candidate) => candidate.id === id && candidate.gateway !== undefined)
    if (pod === undefined) throw new LabError('unknown-namespace', `the lab has no waypoint ${id}`)
    const { component, ready } = startWaypoint(this.#setting, pod)
    this.#components.set(component.name, component)
    await ready
  }

  /** Ends every process, then removes every namespace and, unless the caller gave them, the files. */
  async close(): Promise<void> {
    this.#envoys?.[Symbol.dispose]()
    await Promise.all([...this.#components.values()].map((component) => component.stop()))
    await this.network.close()
    if (this.#ownFolder !== undefined) await rm(this.#ownFolder, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #ambientNodes(): readonly string[] {
    const nodes = this.topology.pods.filter(({ mode }) => mode === 'ambient').map(({ node }) => node)
    return [...new Set(nodes)].sort()
  }

  /**
   * The same rules as an ambient pod's. A sidecar's own way to the control
   * plane is left alone, as `excludeOutboundIPRanges` would: its xDS and CA
   * connections are not of the data path and carry no mark.
   */
  async #redirectSidecar(pod: LabPod): Promise<void> {
    const namespace = this.network.namespace(pod.netns)
    await applyRedirection(namespace, {})
    const exclusion = ['-d', `${this.topology.controlPlane.address}/32`, '-p', 'tcp', '-j', 'ACCEPT']
    await runCommand('iptables', ['-w', '-t', 'nat', '-I', 'OUTPUT', '1', ...exclusion], { namespace })
  }
}

/** An address that the target does not have is no answer: the caller would test the other family. */
function addressOf(
  { address, addresses }: { readonly address: string; readonly addresses: readonly string[] },
  family: 4 | 6 | undefined,
): string {
  const found = family === undefined ? address : addresses.find((candidate) => isIP(candidate) === family)
  if (found !== undefined) return found
  throw new LabError('unknown-namespace', `the lab has no IPv${family} address beside ${address}`)
}

/** Measures the phases of a start. */
export interface Stopwatch {
  phase(what: string): void
  ready(component: string, ready: number, total: number): void
}

function stopwatch(tell: LabOptions['onProgress']): Stopwatch {
  let last = performance.now()
  const began = last
  return {
    phase(what) {
      const now = performance.now()
      tell?.({ kind: 'phase', what, milliseconds: now - last })
      last = now
    },
    ready(component, ready, total) {
      tell?.({ kind: 'ready', component, ready, total, milliseconds: performance.now() - began })
    },
  }
}

async function allReady(started: readonly Started[], clock: Stopwatch): Promise<void> {
  let count = 0
  const waiting = started.map(async ({ component, ready }) => {
    await ready
    count += 1
    clock.ready(component.name, count, started.length)
  })
  // One that dies after it was ready, or was never asked, holds up another, which would then be blamed.
  const gone = started.map(({ component }) => component.untilGone('see the mesh started'))
  await Promise.race([Promise.all(waiting), ...gone])
}

const ADMIN_PORT = 15000
