import { Socket } from 'node:net'
import { type Cancellation, type PumpEnd, type PumpResult, pumpUntil } from '../../hbone/index.ts'
import { explainSubject, type PolicyContext, type RouteStep, type Verdict } from '../../mesh/index.ts'
import type { ConnectionInfo, ConnectionTelemetry, OpenConnection } from '../../telemetry/index.ts'
import { deniedText, errorText, ProxyError, responseFlag } from '../errors.ts'
import type { ConnectionTracker, Tracked, TrackedConnection } from './connection-tracker.ts'
import type { ConnectionOutcome } from './handler.ts'
import type { VerdictListener } from './policy-log.ts'

export interface RelayDependencies {
  readonly tracker: ConnectionTracker
  readonly telemetry: ConnectionTelemetry
  readonly onVerdict?: VerdictListener | undefined
}

/** A connection whose route is known: what is left is to judge, dial, pump and record it. */
export interface RelayPlan {
  readonly info: Omit<ConnectionInfo, 'counts'>
  readonly originalDestination: string
  readonly actualDestination: string
  /** What policies see, and the judgement; absent where no policy applies (outbound). */
  readonly policy?: { readonly context: PolicyContext; readonly judge: () => Verdict | Promise<Verdict> }
  /** Recorded only once it is connected or has failed: `connect` finds out where it leads (wire/ztunnel 3.16). */
  readonly recordLate?: boolean
  /** Dials, and answers the downstream if its protocol has an answer. */
  readonly connect: (signal: Cancellation) => Promise<Relayed>
  /** Tells the downstream that nothing comes of it. Not called any more once it is connected: then it is cut off. */
  readonly fail: (error: unknown) => void
}

/** What was moved: downstream to upstream is sent. */
export interface PumpedBytes {
  readonly sent: number
  readonly received: number
}

/** Both ends, to be joined. */
export interface Relayed {
  readonly downstream: PumpEnd
  readonly upstream: PumpEnd
  /** SPIFFE id that the dialled side proved; recorded in place of the expected one. */
  readonly peerIdentity?: string
  /** Replaces the plan's, where it was to be recorded late. */
  readonly info?: RelayPlan['info']
  /** Tells, of an end that looks clean, why it was a refusal all the same. */
  readonly refusal?: (bytes: PumpedBytes) => string | undefined
}

/** A connection to be carried, or what became of one that was turned away before. */
export type Planned = RelayPlan | ConnectionOutcome

/**
 * The part of the data path that all ports share. Tracked before it is judged,
 * so that a policy that arrives meanwhile still cuts it.
 */
export function relay(deps: RelayDependencies, plan: RelayPlan): Promise<ConnectionOutcome> {
  return new Promise((resolve) => void new RelayedConnection(deps, plan, resolve).begin(plan))
}

/** `relay` for a plan that is still being made. `planned` must not reject. */
export function relayPlanned(deps: RelayDependencies, planned: Promise<Planned>): Promise<ConnectionOutcome> {
  return new Promise((resolve) => {
    void planned.then((plan) => {
      if ('kind' in plan) resolve(plan)
      else void new RelayedConnection(deps, plan, resolve).begin(plan)
    })
  })
}

/**
 * One connection, from its plan to its record. All that is kept of it while it
 * is idle: what is only needed until both ends are there, the plan with its
 * route, headers and functions, is let go of then, and no function waits for
 * the end, for a suspended one keeps all that it ever knew.
 */
class RelayedConnection implements TrackedConnection {
  readonly originalDestination: string
  readonly actualDestination: string
  readonly #deps: RelayDependencies
  readonly #resolve: (outcome: ConnectionOutcome) => void
  readonly #counts = { sent: 0, received: 0 }
  readonly #tracked: Tracked
  readonly #startedAt: number | undefined
  #info: RelayPlan['info']
  #record: OpenConnection | undefined
  #verdict: Verdict | undefined
  #peerIdentity: string | undefined
  #refusal: Relayed['refusal']
  #downstream: PumpEnd | undefined

  constructor(deps: RelayDependencies, plan: RelayPlan, resolve: (outcome: ConnectionOutcome) => void) {
    this.#deps = deps
    this.#resolve = resolve
    this.#info = plan.info
    this.originalDestination = plan.originalDestination
    this.actualDestination = plan.actualDestination
    this.#startedAt = plan.recordLate === true ? performance.now() : undefined
    if (plan.recordLate !== true) this.#open(plan.info)
    this.#tracked = deps.tracker.track(this, plan.policy?.context)
  }

  get direction(): TrackedConnection['direction'] {
    return this.#info.direction
  }

  get source(): string {
    return this.#info.source.address
  }

  get protocol(): TrackedConnection['protocol'] {
    return this.#info.secure ? 'HBONE' : 'TCP'
  }

  /** Judges, dials, and leaves the rest to the pump. */
  async begin(plan: RelayPlan): Promise<void> {
    const { signal } = this.#tracked
    try {
      const judged = plan.policy?.judge()
      this.#verdict = judged instanceof Promise ? await judged : judged
      if (this.#verdict !== undefined) this.#tell(this.#verdict)
      if (this.#verdict?.allowed === false) {
        throw new ProxyError('policy-denied', deniedText(this.#verdict.message))
      }
      // A verdict that came late may have been overtaken by a policy, or by the end of the workload.
      signal.throwIfAborted()
      this.#join(await plan.connect(signal), signal)
    } catch (error) {
      this.#fail(error, plan)
    }
  }

  #join({ downstream, upstream, info, peerIdentity, refusal }: Relayed, signal: Cancellation): void {
    this.#peerIdentity = peerIdentity
    this.#refusal = refusal
    this.#downstream = downstream
    if (this.#record === undefined) this.#open(info ?? this.#info)
    pumpUntil(downstream, upstream, this.#counts, signal, this.#onPumped)
  }

  readonly #onPumped = ({ error, side }: PumpResult): void => {
    const refusal = error === undefined ? this.#refusal?.(this.#counts) : undefined
    if (error !== undefined) this.#fail(sideError(error, side))
    else if (refusal !== undefined) this.#fail(new ProxyError('refused', refusal))
    else {
      const verdict = this.#verdict
      this.#record?.close({ policy: verdict?.policy, peerIdentity: this.#peerIdentity, verdict })
      this.#end({ kind: 'complete' })
    }
  }

  /** `plan` as long as it is not connected. */
  #fail(error: unknown, plan?: RelayPlan): void {
    const cut = this.#tracked.denied()
    // The policy that it was waiting for both refuses and cuts it: one decision.
    if (cut !== undefined && this.#verdict?.allowed !== false) {
      this.#verdict = cut
      this.#tell(cut)
    }
    if (plan === undefined) this.#cutOff()
    else plan.fail(error)
    const verdict = this.#verdict
    const outcome = { flag: responseFlag(error), error: errorText(error), policy: verdict?.policy }
    const judged = judgedText(verdict, this.#tracked.policy)
    const record = this.#record ?? this.#open(this.#info)
    record.close({ ...outcome, peerIdentity: this.#peerIdentity, verdict, judged })
    this.#end({ kind: 'failed', ...outcome })
  }

  /** The pump lets a client take its time to read what there was. This one learns that something is wrong. */
  #cutOff(): void {
    if (this.#downstream instanceof Socket) this.#downstream.destroy()
  }

  #tell(verdict: Verdict): void {
    this.#deps.onVerdict?.(verdict, this.#info)
  }

  #open(info: RelayPlan['info']): OpenConnection {
    const counted = { ...info, counts: this.#counts }
    this.#info = counted
    const record = this.#deps.telemetry.open(counted, this.#startedAt)
    this.#record = record
    return record
  }

  #end(outcome: ConnectionOutcome): void {
    this.#tracked.release()
    this.#resolve(outcome)
  }
}

/**
 * A decision as it is kept for the life of its connection. Its steps are most
 * of it, and only where they are written is there a use for them.
 */
export function withoutIdleSteps<Decision extends { readonly steps: readonly RouteStep[] }>(
  { telemetry }: RelayDependencies,
  decision: Decision,
): Decision {
  return telemetry.explains ? decision : { ...decision, steps: [] }
}

/** Whom and what the policies saw that refused it. */
function judgedText(verdict: Verdict | undefined, context: PolicyContext | undefined): string | undefined {
  return verdict?.allowed !== false || context === undefined ? undefined : explainSubject(context)
}

/** Our own reasons stand as they are; a broken copy says in which direction. */
function sideError(error: Error, side: 'send' | 'receive' | undefined): Error {
  if (error instanceof ProxyError || side === undefined) return error
  return new Error(`${side}: ${error.message}`, { cause: error })
}
