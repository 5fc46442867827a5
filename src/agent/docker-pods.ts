import { existsSync, readFileSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  type Container,
  type DockerClient,
  DockerWatch,
  defaultNode,
  fleetOf,
  type MeshContainer,
  podOf,
  type RefusedContainer,
  textOf,
} from '../docker/index.ts'
import { isCaptured } from '../xds/kubernetes/index.ts'
import type { AgentLogger, CapturedPod, PodSource } from './pod-source.ts'

/** How to find the containers of a node; see {@link DockerPods.watch}. */
export interface DockerPodsOptions {
  /** Closed with the source. */
  readonly client: DockerClient
  /** Only containers of this node. Default: the Docker host's name, which containers without `ztunnel.node` are of. */
  readonly node: string | undefined
  /** Whether DNS is captured where the container's label does not say. */
  readonly dnsCapture: boolean
  readonly logger: AgentLogger
  /** Where processes are seen by their ids in the engine's process namespace. Default `/proc`. */
  readonly procDirectory?: string
}

/** Docker's name server, in the network namespace of each container that is in a network made by the user. */
const DOCKER_NAME_SERVER = '127.0.0.11'
/** Docker's own network, where there is no name server of Docker's. */
const DEFAULT_BRIDGE = 'bridge'
/** `f_type` of a network namespace's file, by statfs(2). */
const NSFS_MAGIC = 0x6e_73_66_73

/** The captured containers of one node. */
export class DockerPods implements PodSource {
  readonly #options: DockerPodsOptions
  readonly #subscribers = new Set<() => void>()
  #watch: DockerWatch | undefined
  #node = ''
  #pods: readonly CapturedPod[] = []
  #refused: readonly RefusedContainer[] = []
  #problems = new Set<string>()
  /** Where a pod's namespace was found, by uid: it stays there for as long as it exists. */
  #paths: ReadonlyMap<string, string> = new Map()

  private constructor(options: DockerPodsOptions) {
    this.#options = options
  }

  /** Rejects with DockerError when the engine cannot be asked at first. */
  static async watch(options: DockerPodsOptions): Promise<DockerPods> {
    const source = new DockerPods(options)
    const { client, logger: log } = options
    source.#watch = await DockerWatch.start({ client, log, onChange: () => source.#look() })
    const ofHost = defaultNode(source.#watch.snapshot)
    source.#node = options.node ?? ofHost
    if (source.#node !== ofHost) {
      const label = `ztunnel.node=${source.#node}`
      log.info(`only containers with label ${label} are of this node; those without it are of ${ofHost}`)
    }
    source.#look()
    return source
  }

  /** Whose containers these are. */
  get node(): string {
    return this.#node
  }

  pods(): readonly CapturedPod[] {
    return this.#pods
  }

  /** Containers that their labels put into the mesh and that cannot be, of all nodes, and why. */
  refused(): readonly RefusedContainer[] {
    return this.#refused
  }

  subscribe(onChange: () => void): () => void {
    this.#subscribers.add(onChange)
    return () => this.#subscribers.delete(onChange)
  }

  async close(): Promise<void> {
    this.#subscribers.clear()
    await this.#watch?.close()
    await this.#options.client.close()
  }

  #look(): void {
    if (this.#watch === undefined) return
    const { dnsCapture, procDirectory = '/proc' } = this.#options
    const { members, refused, problems } = fleetOf(this.#watch.snapshot)
    this.#refused = refused
    const enrolled = members.filter((member) => member.node === this.#node && isEnrolled(member))
    const paths = new Map<string, string>()
    for (const { container } of enrolled) {
      const path = this.#paths.get(uidOf(container)) ?? findNamespace(container, procDirectory)
      if (path !== undefined) paths.set(uidOf(container), path)
    }
    this.#paths = paths
    const hidden = enrolled.filter(({ container }) => !paths.has(uidOf(container)) && isHidden(container))
    this.#report([...problems.map(textOf), ...hidden.map(hiddenText)])
    const known = new Map(this.#pods.map((pod) => [JSON.stringify(pod), pod]))
    this.#pods = enrolled
      .map((member) => capturedPod(member, dnsCapture, paths.get(uidOf(member.container))))
      // An enrolment takes another object for other wishes.
      .map((pod) => known.get(JSON.stringify(pod)) ?? pod)
    for (const subscriber of this.#subscribers) subscriber()
  }

  /** Each once, for as long as it lasts. */
  #report(texts: readonly string[]): void {
    const problems = new Set(texts)
    for (const text of problems) if (!this.#problems.has(text)) this.#options.logger.warn(text)
    this.#problems = problems
  }
}

function isEnrolled(member: MeshContainer): boolean {
  const { running, sandboxKey } = member.container
  return running && sandboxKey !== '' && isCaptured(podOf(member, new Map()), undefined)
}

function capturedPod(member: MeshContainer, dnsCapture: boolean, path: string | undefined): CapturedPod {
  const { container, name, namespace, serviceAccount, addresses } = member
  const { labels } = container
  const hasNameServer = container.networks.some((network) => network.name !== DEFAULT_BRIDGE)
  const wish = labels['ambient.istio.io/dns-capture']
  return {
    uid: uidOf(container),
    name,
    namespace,
    serviceAccount,
    networkNamespace: path ?? container.sandboxKey,
    exclusive: true,
    redirection: {
      captureInbound: labels['ambient.istio.io/bypass-inbound-capture'] !== 'true',
      // A family that is not redirected goes past the mesh, also with an address that Docker knows nothing of.
      ipv6: addresses.some((address) => address.includes(':')) || 'if-possible',
      // On Docker's default bridge a container asks the host's name servers, which no look-up of ours must replace.
      dnsCapture: wish === 'true' || (wish !== 'false' && dnsCapture && hasNameServer),
      ...(hasNameServer && { localNameServer: DOCKER_NAME_SERVER }),
    },
  }
}

/** A container that is started anew is in another namespace, and nothing is left of the former: another pod. */
function uidOf({ id, sandboxId }: Container): string {
  return `${id.slice(0, 12)}-${sandboxId.slice(0, 12)}`
}

/**
 * What Docker mounted, where it can be seen; an agent in a container that was not given that folder, or not with the
 * mounts that come later, sees an ordinary file or none. Then, with the host's process ids (`--pid=host`), the
 * container's process. Undefined: neither, or not yet.
 */
function findNamespace({ id, sandboxKey, pid }: Container, procDirectory: string): string | undefined {
  if (isNamespaceFile(sandboxKey)) return sandboxKey
  const process = `${procDirectory}/${pid}`
  return pid > 0 && isProcessOf(process, id) && existsSync(`${process}/ns/net`)
    ? `${process}/ns/net`
    : undefined
}

/**
 * Whether the agent's container was given too little to ever find the namespace. One that is only just being made or
 * taken down looks different: the engine makes the file, and mounts the namespace on it, at once.
 */
function isHidden({ sandboxKey }: Container): boolean {
  // A file that is no namespace: mounted without what is mounted later. No folder: not mounted at all.
  return existsSync(sandboxKey) || !existsSync(dirname(sandboxKey))
}

function hiddenText({ container: { name, sandboxKey } }: MeshContainer): string {
  const folder = dirname(sandboxKey)
  return `container ${name}: its network namespace, ${sandboxKey}, cannot be seen from here: give the agent's container -v ${folder}:${folder}:rslave, or --pid=host and --cap-add SYS_PTRACE`
}

function isNamespaceFile(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC
  } catch {
    return false
  }
}

/** Without the host's process ids, a number means some other process, or none. */
function isProcessOf(process: string, containerId: string): boolean {
  try {
    return readFileSync(`${process}/cgroup`, 'utf8').includes(containerId)
  } catch {
    return false
  }
}
