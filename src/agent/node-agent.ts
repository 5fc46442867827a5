import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { ZdsServer } from '../zds/index.ts'
import { PodEnrolment, type PodStatus } from './enrolment.ts'
import { NamespaceWatch } from './namespace-watch.ts'
import { limiter } from './pod-network.ts'
import type { AgentLogger, CapturedPod, PodSource } from './pod-source.ts'

/** What an agent is made of; see {@link NodeAgent.start}. */
export interface NodeAgentOptions {
  readonly source: PodSource
  /** Path of the ZDS socket; its folder is made if need be. */
  readonly zdsSocket: string
  readonly logger: AgentLogger
}

/** How an agent ends; see {@link NodeAgent.close}. */
export interface CloseAgentOptions {
  /** Release all pods: the proxy drops them and their rules are taken out. Default false. */
  readonly cleanup?: boolean
}

/** Pods whose rules are written at a time: each costs some processes that wait for the same kernel locks. */
const CONCURRENT_PROGRAMS = 4

/**
 * The node agent, in istio-cni's place: puts redirection into the network namespaces of the node's captured pods and
 * hands them to the node proxy.
 */
export class NodeAgent {
  readonly #options: NodeAgentOptions
  readonly #enrolments = new Map<string, PodEnrolment>()
  readonly #limit = limiter(CONCURRENT_PROGRAMS)
  readonly #running = new Set<Promise<void>>()
  readonly #namespaces: NamespaceWatch
  #zds: ZdsServer | undefined
  #unsubscribe: () => void = () => undefined
  #closing = false

  private constructor(options: NodeAgentOptions) {
    this.#options = options
    this.#namespaces = new NamespaceWatch((path) => {
      for (const enrolment of this.#enrolments.values()) {
        if (enrolment.status.networkNamespace === path) enrolment.wake()
      }
    })
  }

  /**
   * Starts and resolves when the pods whose namespaces exist have their rules. Only then is ZDS served: a proxy that
   * outlived the previous agent drops whatever the first snapshot does not name. Rejects with LinuxError when the
   * socket cannot be served (`EADDRINUSE`: another agent runs).
   */
  static async start(options: NodeAgentOptions): Promise<NodeAgent> {
    const agent = new NodeAgent(options)
    const first = options.source.pods().map((pod) => agent.#create(pod))
    await Promise.all(first.map((enrolment) => enrolment.prepare()))
    mkdirSync(dirname(options.zdsSocket), { recursive: true })
    agent.#serve(first)
    for (const enrolment of first) agent.#run(enrolment)
    agent.#unsubscribe = options.source.subscribe(() => agent.#reconcile())
    agent.#reconcile()
    return agent
  }

  /** Every pod that is, or is to be, captured, and how far it has come. */
  status(): PodStatus[] {
    return [...this.#enrolments.values()].map((enrolment) => enrolment.status)
  }

  /**
   * Ends the agent. As with istio-cni the pods stay captured and the proxy goes on serving those that it knows, so
   * that an agent can be replaced under load; `cleanup` releases them first.
   */
  async close(options: CloseAgentOptions = {}): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    this.#unsubscribe()
    for (const enrolment of this.#enrolments.values()) {
      if (options.cleanup === true) enrolment.release()
      else enrolment.stop()
    }
    // Before the namespaces are closed, which it may be about to pass on; on release it has to pass that on first.
    if (options.cleanup !== true) this.#zds?.close()
    await Promise.all(this.#running)
    this.#namespaces.close()
    this.#zds?.close()
  }

  #create(pod: CapturedPod): PodEnrolment {
    const enrolment = new PodEnrolment({
      pod,
      zds: () => this.#zds,
      limit: this.#limit,
      watch: (path) => this.#namespaces.include(path),
      logger: this.#options.logger,
    })
    this.#enrolments.set(pod.uid, enrolment)
    return enrolment
  }

  #serve(first: readonly PodEnrolment[]): void {
    const { logger, zdsSocket } = this.#options
    this.#zds = ZdsServer.listen({
      path: zdsSocket,
      pods: first.map(({ redirected }) => redirected).filter((pod) => pod !== undefined),
      keep: first.filter(({ redirected }) => redirected === undefined).map(({ status }) => status.uid),
      onSynced: (proxy) => logger.info('node proxy knows all pods', { proxy, pods: this.#enrolments.size }),
      onSnapshotAnswer: (pod, error) => this.#enrolments.get(pod.uid)?.snapshotAnswered(pod, error),
      onConnectionError: (error, proxy, introduced) => {
        logger.warn('node proxy disconnected', { proxy, error: error.message })
        // It may have taken some pods and not been told of all; a stranger who only connects costs nothing.
        if (!introduced) return
        for (const enrolment of this.#enrolments.values()) enrolment.proxyLost()
      },
    })
  }

  #reconcile(): void {
    if (this.#closing) return
    const wanted = new Map(this.#options.source.pods().map((pod) => [pod.uid, pod]))
    for (const [uid, enrolment] of this.#enrolments) if (!wanted.has(uid)) enrolment.release()
    for (const [uid, pod] of wanted) {
      const known = this.#enrolments.get(uid)
      if (known === undefined) this.#run(this.#create(pod))
      else known.want(pod)
    }
  }

  #run(enrolment: PodEnrolment): void {
    const { uid } = enrolment.status
    const running = enrolment.run().then(() => {
      this.#running.delete(running)
      if (this.#enrolments.get(uid) === enrolment) this.#enrolments.delete(uid)
      // It may have been wanted again while it left.
      this.#reconcile()
    })
    this.#running.add(running)
  }
}
