import type { NetworkNamespace } from '../linux/index.ts'
import type { WorkloadInfo, ZdsPod, ZdsServer } from '../zds/index.ts'
import { pauseAfter, Wakeup } from './backoff.ts'
import { type Limiter, PodNetwork } from './pod-network.ts'
import type { AgentLogger, CapturedPod } from './pod-source.ts'

/** How far a pod has come. */
export type PodState =
  /** Its network namespace does not exist (yet). */
  | 'waiting-for-namespace'
  /** The redirection rules are being written, or could not be. */
  | 'redirecting'
  /** The rules are in, no proxy has taken it: its traffic fails, it does not go past the mesh. */
  | 'awaiting-proxy'
  | 'captured'
  /** No longer to be captured; the rules are on their way out. */
  | 'leaving'

/** One pod, as `status` shows it. */
export interface PodStatus {
  readonly uid: string
  readonly name: string
  readonly namespace: string
  readonly networkNamespace: string
  readonly state: PodState
  /** Why it is not further, in the words of whatever failed last. */
  readonly error: string | undefined
}

/** What an enrolment works with. */
export interface PodEnrolmentOptions {
  readonly pod: CapturedPod
  /** Undefined until the agent serves ZDS. */
  readonly zds: () => Pick<ZdsServer, 'add' | 'remove'> | undefined
  /** Runs the programs that write rules. */
  readonly limit: Limiter
  /** Has the enrolment woken when something happens to this path. */
  readonly watch: (path: string) => void
  readonly logger: AgentLogger
}

/** How often a pod's rules are looked at, milliseconds: a look is a handful of system calls (0.1 ms). */
const LOOK_INTERVAL_MS = 1_000
/** Attempts to take the rules out of a namespace; then they are left there and the log says so. */
const MAX_LEAVE_ATTEMPTS = 5

/**
 * Brings one pod to where it is wanted and keeps it there: rules into its namespace, then the namespace to the proxy;
 * or, once it is not wanted any more, away from the proxy, then the rules out. In between it fails closed: redirected
 * to ports where nobody listens. One loop does all of it, so that no two changes to a pod overlap.
 */
export class PodEnrolment {
  readonly #options: PodEnrolmentOptions
  readonly #network: PodNetwork
  readonly #wakeup = new Wakeup()
  #pod: CapturedPod
  #wanted = true
  #stopped = false
  #state: PodState = 'waiting-for-namespace'
  #error: string | undefined
  /** As whom the proxy was told of the pod. */
  #announcedAs: string | undefined
  #accepted = false
  #proxiesLost = 0

  constructor(options: PodEnrolmentOptions) {
    this.#options = options
    this.#pod = options.pod
    this.#network = new PodNetwork(options.limit)
  }

  get status(): PodStatus {
    const { uid, name, namespace, networkNamespace } = this.#pod
    return { uid, name, namespace, networkNamespace, state: this.#state, error: this.#error }
  }

  /** The pod with its namespace, once its rules are in; what a first snapshot is made of. */
  get redirected(): ZdsPod | undefined {
    const netns = this.#network.namespace
    const ready = this.#state === 'awaiting-proxy' || this.#state === 'captured'
    return ready && netns !== undefined ? zdsPod(this.#pod, netns) : undefined
  }

  /** Wants the pod captured, possibly with other options than before. */
  want(pod: CapturedPod): void {
    if (this.#wanted && pod === this.#pod) return
    this.#pod = pod
    this.#wanted = true
    this.#wakeup.signal()
  }

  /** Wants the pod released; `run` then ends. */
  release(): void {
    this.#wanted = false
    this.#wakeup.signal()
  }

  /** Has everything looked at again. */
  wake(): void {
    this.#wakeup.signal()
  }

  /** What a proxy that connected said to this pod, which it was told of as this. */
  snapshotAnswered(announced: WorkloadInfo, error: string): void {
    this.#accepted = error === ''
    if (error !== '') this.#error = error
    this.#announcedAs = identityOf(announced)
    this.#wakeup.signal()
  }

  /** A proxy went away; whoever is left, or comes, is told again. */
  proxyLost(): void {
    this.#proxiesLost++
    this.#accepted = false
    this.#wakeup.signal()
  }

  /** Stops where it is: rules and proxy stay as they are. `run` then ends. */
  stop(): void {
    this.#stopped = true
    this.#wakeup.signal()
  }

  /** Gets as far as is possible without a proxy, once. Failures are in the status. */
  async prepare(): Promise<void> {
    try {
      await this.#redirect()
      this.#state = 'awaiting-proxy'
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Works until the pod is released, or `stop`. Never rejects. */
  async run(): Promise<void> {
    let failures = 0
    while (!this.#stopped && this.#wanted) {
      try {
        await this.#advance()
        failures = 0
        // Whoever is in the pod's namespace can change its rules, and nothing tells us.
        await this.#wakeup.wait(LOOK_INTERVAL_MS)
      } catch (error) {
        this.#failed(error)
        failures++
        // Woken means that something changed: what follows, such as the mount of a new namespace, follows soon.
        if (await this.#wakeup.wait(pauseAfter(failures))) failures = 0
      }
    }
    if (!this.#stopped) await this.#leave()
    this.#network.close()
  }

  async #redirect(): Promise<void> {
    const pod = this.#pod
    this.#options.watch(pod.networkNamespace)
    if (this.#network.hasMoved(pod)) {
      this.#withdraw()
      await this.#network.restore()
    }
    try {
      this.#network.open(pod, () => this.#withdraw())
    } catch (error) {
      this.#state = 'waiting-for-namespace'
      throw error
    }
    if (this.#network.hasRules(pod.redirection)) {
      if (await this.#network.repair())
        this.#options.logger.warn('redirection was damaged and is repaired', this.#fields())
      return
    }
    this.#state = 'redirecting'
    await this.#network.redirect(pod.redirection)
  }

  async #advance(): Promise<void> {
    await this.#redirect()
    const pod = this.#pod
    const { namespace } = this.#network
    const zds = this.#options.zds()
    if (namespace === undefined || zds === undefined) return
    // A proxy takes a uid that it knows, in the same namespace, for the same pod and would keep its old identity.
    if (this.#announcedAs !== undefined && this.#announcedAs !== identityOf(pod)) this.#withdraw()
    if (!this.#accepted) {
      // When one of several proxies goes, the pod is not taken for lost before that has been tried.
      if (this.#state !== 'captured') this.#state = 'awaiting-proxy'
      this.#announcedAs = identityOf(pod)
      const lost = this.#proxiesLost
      await zds.add(zdsPod(pod, namespace))
      // It took the pod, and may be gone by now: `proxyLost` has asked for another look.
      if (lost !== this.#proxiesLost) return
      this.#accepted = true
    }
    if (this.#state !== 'captured') this.#options.logger.info('pod is captured', this.#fields())
    this.#state = 'captured'
    this.#error = undefined
  }

  /** Before the namespace may be closed: the ZDS server forgets it at once, the proxies in their turn. */
  #withdraw(): void {
    this.#accepted = false
    this.#announcedAs = undefined
    void this.#options.zds()?.remove(this.#pod.uid)
  }

  async #leave(): Promise<void> {
    this.#state = 'leaving'
    await this.#options.zds()?.remove(this.#pod.uid)
    for (let attempt = 1; this.#network.isCurrent() && !this.#stopped; attempt++) {
      try {
        await this.#network.restore()
        break
      } catch (error) {
        this.#failed(error)
        if (attempt === MAX_LEAVE_ATTEMPTS) {
          const message =
            'redirection rules are left in a pod that is not captured any more: it has no network'
          this.#options.logger.error(message, this.#fields())
          return
        }
        await this.#wakeup.wait(pauseAfter(attempt))
      }
    }
    this.#options.logger.info('pod is released', this.#fields())
  }

  /** Says it once, not at every attempt. */
  #failed(cause: unknown): void {
    const error = cause instanceof Error ? cause.message : String(cause)
    if (this.#state === 'captured') this.#state = 'awaiting-proxy'
    if (error === this.#error) return
    this.#error = error
    this.#options.logger.warn('pod is not captured', { ...this.#fields(), state: this.#state, error })
  }

  #fields(): Record<string, unknown> {
    const { name, namespace, networkNamespace } = this.#pod
    return { name, namespace, netns: networkNamespace }
  }
}

/** What the proxy knows a pod by; a container may be renamed while it runs. */
function identityOf({ namespace, name, serviceAccount }: WorkloadInfo): string {
  return `${namespace}/${name}/${serviceAccount}`
}

function zdsPod(pod: CapturedPod, netns: NetworkNamespace): ZdsPod {
  const { uid, name, namespace, serviceAccount } = pod
  return { uid, name, namespace, serviceAccount, netns }
}
