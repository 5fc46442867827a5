import {
  type AuthorizationPolicy,
  authorize,
  type MeshStore,
  type MeshUpdate,
  type PolicyContext,
  type Verdict,
  type Workload,
} from '../../mesh/index.ts'
import type { ScopedLogger } from '../../telemetry/index.ts'
import type { ConnectionTracker } from './connection-tracker.ts'
import type { LocalWorkload } from './local-workload.ts'

/**
 * How long a policy that the workload lists and that is not there is waited
 * for, milliseconds. A workload and its policies come in messages of their own,
 * one right after the other; more than this and the name leads nowhere.
 */
const LISTED_POLICY_WAIT_MS = 1000

export interface WorkloadPoliciesOptions {
  readonly mesh: MeshStore
  readonly local: LocalWorkload
  readonly tracker: ConnectionTracker
  readonly log?: ScopedLogger | undefined
  /** Milliseconds; default 1,000. */
  readonly waitMs?: number
}

/**
 * Judges the connections that reach one workload, the new ones and, whenever
 * something changes that bears on it, the open ones: a policy, the workload's
 * list of policies, its namespace. Istio's ztunnel looks at a workload's list
 * once, when a connection opens (wire/ztunnel 8.13); here it is the one in force.
 *
 * A listed policy that nobody has sent counts for nothing (wire/ztunnel 8.1).
 * It is mostly on its way: a policy replaced by one of another name, a new pod
 * with a policy of its own. So that nothing slips through meanwhile, new
 * connections wait for it, a second at most; and none is cut meanwhile for the
 * want of an ALLOW. What is explicitly denied is denied at once.
 */
export class WorkloadPolicies {
  readonly #mesh: MeshStore
  readonly #local: LocalWorkload
  readonly #tracker: ConnectionTracker
  readonly #log: ScopedLogger | undefined
  readonly #waitMs: number
  readonly #unsubscribe: () => void
  /** As last delivered: what a workload that the control plane takes away is judged by as long as it has connections. */
  #workload: Workload | undefined
  /** What the open connections were last judged by. */
  #applied: readonly AuthorizationPolicy[] = []
  /** Names that are waited for. */
  #awaited: ReadonlySet<string> = new Set()
  /** Names that were waited for in vain. */
  #absent: ReadonlySet<string> = new Set()
  #settled: PromiseWithResolvers<void> | undefined
  #timer: NodeJS.Timeout | undefined

  constructor({ mesh, local, tracker, log, waitMs = LISTED_POLICY_WAIT_MS }: WorkloadPoliciesOptions) {
    this.#mesh = mesh
    this.#local = local
    this.#tracker = tracker
    this.#log = log
    this.#waitMs = waitMs
    this.#unsubscribe = mesh.subscribe((update) => this.#onUpdate(update))
    this.#workload = local.peek()
    this.#lookForListed()
  }

  /**
   * The verdict on a new connection, by what is known of the workload now;
   * `workload` is for one that is not known any more. To be called once the
   * connection is tracked: what changes afterwards then cuts it.
   */
  judge(workload: Workload, context: PolicyContext): Verdict | Promise<Verdict> {
    const verdict = this.#judgeNow(workload, context)
    if (this.#settled === undefined || verdict.reason === 'explicitly-denied') return verdict
    return this.#settled.promise.then(() => this.#judgeNow(workload, context))
  }

  /** Listens no more, and lets go of those that wait. */
  close(): void {
    this.#unsubscribe()
    this.#settle()
  }

  #judgeNow(workload: Workload, context: PolicyContext): Verdict {
    return authorize(this.#mesh.policiesFor(this.#workload ?? workload), context)
  }

  #onUpdate({ policies }: MeshUpdate): void {
    const workload = this.#local.peek() ?? this.#workload
    if (policies.length === 0 && workload === this.#workload) return
    this.#workload = workload
    this.#lookForListed()
    this.#recheck()
  }

  /** Waits for names that are listed and unknown, and no more when there is none left to wait for. */
  #lookForListed(): void {
    const unknown = this.#workload === undefined ? [] : this.#mesh.unknownPolicies(this.#workload)
    this.#awaited = new Set(unknown.filter((name) => !this.#absent.has(name)))
    this.#absent = new Set(unknown.filter((name) => this.#absent.has(name)))
    if (this.#awaited.size === 0) {
      this.#settle()
    } else if (this.#settled === undefined) {
      this.#settled = Promise.withResolvers()
      // Names that come to be missed meanwhile wait for the rest of it: no connection waits longer than this.
      this.#timer = setTimeout(() => this.#giveUp(), this.#waitMs)
    }
  }

  #giveUp(): void {
    for (const policy of this.#awaited) {
      this.#log?.warn('skipping unknown policy', { policy, workload: this.#workload?.uid })
    }
    this.#absent = new Set([...this.#absent, ...this.#awaited])
    this.#awaited = new Set()
    this.#settle()
    this.#recheck()
  }

  #settle(): void {
    clearTimeout(this.#timer)
    this.#settled?.resolve()
    this.#settled = undefined
  }

  /** Cuts the open connections that would be refused now. */
  #recheck(): void {
    if (this.#workload === undefined) return
    const policies = this.#mesh.policiesFor(this.#workload)
    if (sameItems(policies, this.#applied)) return
    let spared = false
    this.#tracker.reevaluate((context) => {
      const verdict = authorize(policies, context)
      if (verdict.allowed) return undefined
      // The ALLOW that carried it may be the one that is being replaced.
      const spare = this.#settled !== undefined && verdict.reason !== 'explicitly-denied'
      spared ||= spare
      return spare ? undefined : verdict
    })
    // Those that were spared must be looked at again, though the policies may be the same then.
    this.#applied = spared ? [] : policies
  }
}

/** The store gives the same objects as long as they are the same policies. */
function sameItems(a: readonly AuthorizationPolicy[], b: readonly AuthorizationPolicy[]): boolean {
  return a === b || (a.length === b.length && a.every((policy, i) => policy === b[i]))
}
