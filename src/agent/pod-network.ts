import {
  applyRedirection,
  LinuxError,
  NamespaceClaim,
  NetworkNamespace,
  type RedirectionOptions,
  RedirectionWatch,
  removeRedirection,
} from '../linux/index.ts'
import type { CapturedPod } from './pod-source.ts'

/** Limits how many tasks run at a time; the others wait in order. */
export type Limiter = <T>(task: () => Promise<T>) => Promise<T>

/**
 * Comparisons of a pod's rules with what they should be: so many at once, then one in so long (milliseconds). Whoever
 * changes rules all the time, which a pod with CAP_NET_ADMIN can, costs no more than that; one is some 30 ms of processes.
 */
const COMPARISON_BURST = 4
const COMPARISON_INTERVAL_MS = 5_000

/** The network namespace of one pod, as far as it is open, and what has been written into it. */
export class PodNetwork {
  readonly #limit: Limiter
  #namespace: NetworkNamespace | undefined
  #path: string | undefined
  #claim: NamespaceClaim | undefined
  /** The options whose rules are in the namespace. */
  #applied: RedirectionOptions | undefined
  #watch: RedirectionWatch | undefined
  /** How the namespace looked when its rules were last found to be as they should be. */
  #sound: string | undefined
  #comparisons = COMPARISON_BURST
  #countedAt = performance.now()

  constructor(limit: Limiter) {
    this.#limit = limit
  }

  get namespace(): NetworkNamespace | undefined {
    return this.#namespace
  }

  /**
   * Opens what is at the pod's path now. When that is another namespace than the one held, or none, `beforeClose` is
   * called and the one held is closed. Throws LinuxError `system-call`, `not-a-network-namespace` or `claimed`.
   */
  open(pod: CapturedPod, beforeClose: () => void): void {
    const found = this.#find(pod, beforeClose)
    if (this.#namespace?.equals(found)) {
      found.close()
      return
    }
    if (this.#namespace !== undefined) beforeClose()
    this.close()
    if (pod.exclusive === true) this.#claim = claim(pod.networkNamespace, found)
    this.#namespace = found
    this.#path = pod.networkNamespace
  }

  /** Whether a namespace is held that the pod, by its path, is no longer in. */
  hasMoved(pod: CapturedPod): boolean {
    return this.#namespace !== undefined && this.#path !== pod.networkNamespace
  }

  /** Whether the namespace that is open is still the one at the path that it was opened by. */
  isCurrent(): boolean {
    if (this.#path === undefined) return false
    try {
      using found = NetworkNamespace.open(this.#path)
      return this.#namespace?.equals(found) ?? false
    } catch {
      return false
    }
  }

  /** Whether these rules have been written into the namespace that is open. */
  hasRules(options: RedirectionOptions): boolean {
    return this.#applied !== undefined && sameOptions(this.#applied, options)
  }

  /** Writes the redirection rules, in place of others of ours that may be there. Rejects with LinuxError. */
  async redirect(options: RedirectionOptions): Promise<void> {
    const namespace = this.#namespace
    if (namespace === undefined) throw new LinuxError('closed', 'the network namespace is not open')
    await this.#limit(() => applyRedirection(namespace, options))
    this.#applied = options
    // The next look compares once more: what somebody changed while the rules were written shows in nothing else.
    this.#sound = undefined
  }

  /**
   * Looks whether the rules are still there, cheaply, and puts them back if they are not. True when something was
   * repaired. Rejects with LinuxError.
   */
  async repair(): Promise<boolean> {
    const [namespace, options] = [this.#namespace, this.#applied]
    if (namespace === undefined || options === undefined) return false
    this.#watch ??= new RedirectionWatch(namespace)
    const seen = this.#watch.fingerprint()
    if (seen === this.#sound) return false
    if (!this.#mayCompare()) return false
    const repaired = await this.#limit(() => applyRedirection(namespace, options))
    // Of before the comparison, so that a change during it is not taken for sound.
    if (!repaired) this.#sound = seen
    return repaired
  }

  /** Takes the redirection rules out of the namespace that is open; nothing to do when none is. */
  async restore(): Promise<void> {
    const namespace = this.#namespace
    if (namespace === undefined) return
    await this.#limit(() => removeRedirection(namespace, this.#applied ?? {}))
    this.#applied = undefined
  }

  close(): void {
    this.#watch?.close()
    this.#namespace?.close()
    this.#claim?.release()
    this.#claim = undefined
    this.#watch = undefined
    this.#namespace = undefined
    this.#applied = undefined
    this.#sound = undefined
  }

  #mayCompare(): boolean {
    const now = performance.now()
    const earned = (now - this.#countedAt) / COMPARISON_INTERVAL_MS
    this.#comparisons = Math.min(COMPARISON_BURST, this.#comparisons + earned)
    this.#countedAt = now
    if (this.#comparisons < 1) return false
    this.#comparisons -= 1
    return true
  }

  #find(pod: CapturedPod, beforeClose: () => void): NetworkNamespace {
    try {
      return openForeign(pod.networkNamespace)
    } catch (error) {
      if (this.#namespace !== undefined) beforeClose()
      this.close()
      throw error
    }
  }
}

/** Redirection in the network that this process is in would send the whole node's traffic to ports where nobody listens. */
function openForeign(path: string): NetworkNamespace {
  const found = NetworkNamespace.open(path)
  using own = NetworkNamespace.current()
  if (!found.equals(own)) return found
  found.close()
  throw new LinuxError(
    'invalid-argument',
    `${path} is the network of the node itself, which is never captured; name the pod's own, or set hostNetwork: true`,
  )
}

function claim(path: string, found: NetworkNamespace): NamespaceClaim {
  try {
    return NamespaceClaim.take(path)
  } catch (error) {
    found.close()
    throw error
  }
}

/** Runs at most `concurrency` tasks at a time. */
export function limiter(concurrency: number): Limiter {
  let free = concurrency
  const waiting: (() => void)[] = []
  return async (task) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await task()
    } finally {
      // The place goes straight to who has waited longest, or somebody new could take it as well.
      const next = waiting.shift()
      if (next === undefined) free++
      else next()
    }
  }
}

function sameOptions(one: RedirectionOptions, other: RedirectionOptions): boolean {
  return JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort())
}
