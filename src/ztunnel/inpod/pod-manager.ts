import type { NetworkNamespace } from '../../linux/index.ts'
import { errorText } from '../errors.ts'
import type { WorkloadInfo } from '../proxy/local-workload.ts'

/** The proxy of one pod, as far as this manager needs it. */
export interface PodProxy {
  run(): Promise<void>
  drain(): Promise<void>
  close(reason?: Error): void
}

export interface PodManagerOptions<Proxy extends PodProxy> {
  /** Binds the pod's listeners inside its namespace; throws when it cannot. */
  readonly start: (uid: string, info: WorkloadInfo, namespace: NetworkNamespace) => Proxy
  /** A pod that had no proxy, or had one in another namespace. */
  readonly onReceived?: (uid: string, info: WorkloadInfo) => void
  readonly onChange: (status: { active: number; pending: number }) => void
  readonly onStarted: (uid: string, info: WorkloadInfo) => void
  /** `lastOfIdentity`: no other pod here has the same namespace and service account. */
  readonly onStopped: (uid: string, info: WorkloadInfo, lastOfIdentity: boolean) => void
  readonly onRetryFailed: (uid: string, info: WorkloadInfo, error: string) => void
  readonly setTimer?: (callback: () => void, ms: number) => { clear(): void }
}

/** A pod as `config_dump` shows it. */
export type PodState<Proxy> =
  | { readonly state: 'Up'; readonly info: WorkloadInfo; readonly proxy: Proxy }
  | { readonly state: 'Pending'; readonly info: WorkloadInfo; readonly error: string }

interface Pod<Proxy> {
  readonly info: WorkloadInfo
  readonly namespace: NetworkNamespace
  /** Bound, perhaps not serving yet. */
  proxy: Proxy | undefined
  /** Serves. */
  up: boolean
  /** The start that is under way, or that ended last. */
  start: Promise<void>
  error: string
  retry: { clear(): void } | undefined
}

/** How often a pod whose listeners could not be bound is tried again. */
const RETRY_MS = 5_000

/**
 * The pods of this node, as the agent tells them (ZDS). Running pods survive a
 * lost agent; when it comes back, its snapshot says who is still there. One
 * pod that cannot be served never stands in the way of the others.
 */
export class PodManager<Proxy extends PodProxy> {
  readonly #options: PodManagerOptions<Proxy>
  readonly #pods = new Map<string, Pod<Proxy>>()
  /** Named since the agent connected; undefined once its snapshot is complete. */
  #named: Set<string> | undefined = new Set()

  constructor(options: PodManagerOptions<Proxy>) {
    this.#options = options
  }

  /** A new agent connection: it names all pods again before `snapshotSent`. */
  connected(): void {
    this.#named = new Set()
  }

  /** Whether the agent's snapshot is complete. */
  get synced(): boolean {
    return this.#named === undefined
  }

  /**
   * Takes ownership of `namespace`. Throws when the pod cannot be served now;
   * it stays pending and is tried again.
   */
  async add(uid: string, info: WorkloadInfo, namespace: NetworkNamespace): Promise<void> {
    this.#named?.add(uid)
    const known = this.#pods.get(uid)
    if (known?.proxy !== undefined && known.namespace.equals(namespace)) {
      namespace.close()
      return known.start
    }
    const start = Promise.resolve()
    const pod: Pod<Proxy> = {
      info,
      namespace,
      proxy: undefined,
      up: false,
      start,
      error: '',
      retry: undefined,
    }
    this.#pods.set(uid, pod)
    // The same uid in another namespace is another pod sandbox, of the same identity.
    if (known !== undefined) this.#stop(uid, known)
    this.#options.onReceived?.(uid, info)
    await this.#start(uid, pod)
  }

  /** The agent knows the pod but has no namespace for it. */
  keep(uid: string): void {
    this.#named?.add(uid)
  }

  remove(uid: string): void {
    this.#named?.delete(uid)
    const pod = this.#pods.get(uid)
    if (pod === undefined) return
    // Before the snapshot is complete the reconciliation decides, so that a
    // removal that belongs to an older connection cannot cut a living pod.
    if (this.#named !== undefined && pod.up) return
    this.#stop(uid, pod)
  }

  /** Whoever was not named since the agent connected is gone. */
  snapshotSent(): void {
    const named = this.#named ?? new Set()
    this.#named = undefined
    for (const [uid, pod] of this.#pods) if (!named.has(uid)) this.#stop(uid, pod)
    this.#changed()
  }

  get pending(): number {
    let pending = 0
    for (const pod of this.#pods.values()) if (!pod.up) pending++
    return pending
  }

  *states(): Iterable<[string, PodState<Proxy>]> {
    for (const [uid, { info, proxy, up, error }] of this.#pods) {
      yield [
        uid,
        up && proxy !== undefined ? { state: 'Up', info, proxy } : { state: 'Pending', info, error },
      ]
    }
  }

  /** Lets all connections finish. */
  async drain(): Promise<void> {
    for (const pod of this.#pods.values()) pod.retry?.clear()
    await Promise.all([...this.#pods.values()].map((pod) => pod.proxy?.drain()))
  }

  close(): void {
    for (const [uid, pod] of this.#pods) this.#stop(uid, pod)
  }

  #start(uid: string, pod: Pod<Proxy>): Promise<void> {
    pod.start = this.#bindAndRun(uid, pod)
    return pod.start
  }

  async #bindAndRun(uid: string, pod: Pod<Proxy>): Promise<void> {
    const current = (): boolean => this.#pods.get(uid) === pod
    try {
      const proxy = this.#options.start(uid, pod.info, pod.namespace)
      pod.proxy = proxy
      await proxy.run()
      if (!current()) return
      pod.up = true
      pod.error = ''
      this.#options.onStarted(uid, pod.info)
    } catch (error) {
      pod.proxy?.close()
      pod.proxy = undefined
      // Stopped meanwhile: nobody is left to try again for.
      if (!current()) return
      pod.error = errorText(error)
      pod.retry = this.#timer(() => void this.#retry(uid, pod), RETRY_MS)
      throw error
    } finally {
      this.#changed()
    }
  }

  async #retry(uid: string, pod: Pod<Proxy>): Promise<void> {
    if (this.#pods.get(uid) !== pod) return
    await this.#start(uid, pod).catch((error) => this.#options.onRetryFailed(uid, pod.info, errorText(error)))
  }

  #stop(uid: string, pod: Pod<Proxy>): void {
    if (this.#pods.get(uid) === pod) this.#pods.delete(uid)
    pod.retry?.clear()
    pod.proxy?.close()
    pod.namespace.close()
    const same = ({ info }: Pod<Proxy>): boolean =>
      info.namespace === pod.info.namespace && info.serviceAccount === pod.info.serviceAccount
    if (pod.up) this.#options.onStopped(uid, pod.info, ![...this.#pods.values()].some(same))
    pod.up = false
    this.#changed()
  }

  #changed(): void {
    const pending = this.pending
    this.#options.onChange({ active: this.#pods.size - pending, pending })
  }

  #timer(callback: () => void, ms: number): { clear(): void } {
    if (this.#options.setTimer !== undefined) return this.#options.setTimer(callback, ms)
    const timer = setTimeout(callback, ms)
    return { clear: () => clearTimeout(timer) }
  }
}
