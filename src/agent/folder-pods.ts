import { isAbsolute, join } from 'node:path'
import {
  type FolderSnapshot,
  type FolderWatch,
  formatProblem,
  isCaptured,
  type KubernetesObjects,
  type Pod,
  watchFolder,
} from '../xds/kubernetes/index.ts'
import type { AgentLogger, CapturedPod, PodSource } from './pod-source.ts'

/** How to read pods from a folder; see {@link FolderPods.watch}. */
export interface FolderPodsOptions {
  /** Folder of Kubernetes YAML. */
  readonly directory: string
  /** Only pods whose `spec.nodeName` is this. */
  readonly node: string
  /** Folder of named network namespaces, Istio's and iproute2's `/run/netns`. */
  readonly netnsDirectory: string
  /** Whether DNS is captured where the pod's annotation does not say. */
  readonly dnsCapture: boolean
  readonly logger: AgentLogger
}

/** Name (in the folder of namespaces) or absolute path of a pod's network namespace. */
export const NETNS_ANNOTATION = 'ztunnel-node.io/netns'
const BYPASS_INBOUND_ANNOTATION = 'ambient.istio.io/bypass-inbound-capture'
const DNS_CAPTURE_ANNOTATION = 'ambient.istio.io/dns-capture'

/** The captured pods of one node, out of a folder of Kubernetes YAML that is watched. */
export class FolderPods implements PodSource {
  readonly #options: FolderPodsOptions
  readonly #subscribers = new Set<() => void>()
  #pods: readonly CapturedPod[] = []
  #problems = new Set<string>()
  #watch: FolderWatch | undefined

  private constructor(options: FolderPodsOptions) {
    this.#options = options
  }

  /** Rejects when the folder cannot be listed at first. */
  static async watch(options: FolderPodsOptions): Promise<FolderPods> {
    const source = new FolderPods(options)
    const watching = watchFolder(options.directory, {
      onChange: (snapshot) => source.#take(snapshot),
      onError: (error) => options.logger.error('folder of pods cannot be read', { error: error.message }),
    })
    source.#watch = await watching.catch((cause: Error) => {
      throw new Error(`cannot read the folder of pods ${options.directory}: ${cause.message}`, { cause })
    })
    return source
  }

  /** Whose pods these are. */
  get node(): string {
    return this.#options.node
  }

  pods(): readonly CapturedPod[] {
    return this.#pods
  }

  subscribe(onChange: () => void): () => void {
    this.#subscribers.add(onChange)
    return () => this.#subscribers.delete(onChange)
  }

  async close(): Promise<void> {
    this.#subscribers.clear()
    await this.#watch?.close()
  }

  #take(snapshot: FolderSnapshot): void {
    this.#reportProblems(snapshot)
    this.#pods = capturedPods(snapshot.objects, this.#options)
    for (const subscriber of this.#subscribers) subscriber()
  }

  /** Each once, for as long as it lasts: the folder is read again at every change. */
  #reportProblems(snapshot: FolderSnapshot): void {
    const problems = new Set(snapshot.problems.map(formatProblem))
    for (const problem of problems) if (!this.#problems.has(problem)) this.#options.logger.warn(problem)
    this.#problems = problems
  }
}

/** The pods of one node that are captured, by Istio's rule of enrolment. */
export function capturedPods(
  objects: KubernetesObjects,
  options: Pick<FolderPodsOptions, 'node' | 'netnsDirectory' | 'dnsCapture'>,
): CapturedPod[] {
  const here = [...objects.pods.values()].filter(
    (pod) =>
      pod.spec.nodeName === options.node &&
      pod.status.phase !== 'Succeeded' &&
      pod.status.phase !== 'Failed' &&
      isCaptured(pod, objects.namespaces.get(pod.metadata.namespace)),
  )
  return here.map((pod) => {
    const { name, namespace, annotations } = pod.metadata
    return {
      // The files carry no uid; a name is unique at any one time.
      uid: `${namespace}/${name}`,
      name,
      namespace,
      serviceAccount: pod.spec.serviceAccountName,
      networkNamespace: networkNamespaceOf(pod, options.netnsDirectory),
      redirection: {
        captureInbound: annotations[BYPASS_INBOUND_ANNOTATION] !== 'true',
        // A family that is not redirected goes past the mesh, also with an address that the files know nothing of.
        ipv6: pod.status.podIPs.some((address) => address.includes(':')) || 'if-possible',
        dnsCapture: flag(annotations[DNS_CAPTURE_ANNOTATION]) ?? options.dnsCapture,
      },
    }
  })
}

function networkNamespaceOf({ metadata }: Pod, directory: string): string {
  const given = metadata.annotations[NETNS_ANNOTATION]
  if (given === undefined) return join(directory, `${metadata.namespace}.${metadata.name}`)
  return isAbsolute(given) ? given : join(directory, given)
}

function flag(text: string | undefined): boolean | undefined {
  if (text === 'true') return true
  return text === 'false' ? false : undefined
}
