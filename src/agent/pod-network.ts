import {
  applyRedirection,
  LinuxError,
  NetworkNamespace,
  type RedirectionOptions,
  removeRedirection,
} from '../linux/index.ts'
import type { CapturedPod } from './pod-source.ts'

/** Limits how many tasks run at a time; the others wait in order. */
export type Limiter = <T>(task: () => Promise<T>) => Promise<T>

/** The network namespace of one pod, as far as it is open, and what has been written into it. */
export class PodNetwork {
  readonly #limit: Limiter
  #namespace: NetworkNamespace | undefined
  #path: string | undefined
  /** The options whose rules are in the namespace. */
  #applied: RedirectionOptions | undefined

  constructor(limit: Limiter) {
    this.#limit = limit
  }

  get namespace(): NetworkNamespace | undefined {
    return this.#namespace
  }

  /**
   * Opens what is at the pod's path now. When that is another namespace than the one held, or none, `beforeClose` is
   * called and the one held is closed. Throws LinuxError `system-call` or `not-a-network-namespace`.
   */
  open(pod: CapturedPod, beforeClose: () => void): void {
    const found = this.#find(pod, beforeClose)
    if (this.#namespace?.equals(found)) {
      found.close()
      return
    }
    if (this.#namespace !== undefined) beforeClose()
    this.close()
    this.#namespace = found
    this.#path = pod.networkNamespace
  }

  /** Whether a namespace is held that the pod, by its path, is no longer in. */
  hasMoved(pod: CapturedPod): boolean {
    return this.#namespace !== undefined && this.#path !== pod.networkNamespace
  }

  /** Whether the namespace that is open is still the one at the pod's path. */
  isCurrent(pod: CapturedPod): boolean {
    try {
      using found = NetworkNamespace.open(pod.networkNamespace)
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
  }

  /** Takes the redirection rules out of the namespace that is open; nothing to do when none is. */
  async restore(): Promise<void> {
    const namespace = this.#namespace
    if (namespace === undefined) return
    await this.#limit(() => removeRedirection(namespace, this.#applied ?? {}))
    this.#applied = undefined
  }

  close(): void {
    this.#namespace?.close()
    this.#namespace = undefined
    this.#applied = undefined
  }

  #find(pod: CapturedPod, beforeClose: () => void): NetworkNamespace {
    try {
      return NetworkNamespace.open(pod.networkNamespace)
    } catch (error) {
      if (this.#namespace !== undefined) beforeClose()
      this.close()
      throw error
    }
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
