import { type Cancellation, type PumpEnd, pump } from '../../hbone/index.ts'
import { explainSubject, type PolicyContext, type RouteStep, type Verdict } from '../../mesh/index.ts'
import type { ConnectionInfo, ConnectionTelemetry, OpenConnection } from '../../telemetry/index.ts'
import { deniedText, errorText, ProxyError, responseFlag } from '../errors.ts'
import type { ConnectionTracker, TrackedConnection } from './connection-tracker.ts'
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
  /** Tells the downstream that nothing comes of it. Also called after a broken pump. */
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

/**
 * The part of the data path that all ports share. Tracked before it is judged,
 * so that a policy that arrives meanwhile still cuts it.
 */
export async function relay(deps: RelayDependencies, plan: RelayPlan): Promise<ConnectionOutcome> {
  const counts = { sent: 0, received: 0 }
  const startedAt = plan.recordLate === true ? performance.now() : undefined
  const open = (info: RelayPlan['info']): OpenConnection =>
    deps.telemetry.open({ ...info, counts }, startedAt)
  let record = startedAt === undefined ? open(plan.info) : undefined
  const tracked = deps.tracker.track(trackedAs(plan), plan.policy?.context)
  let verdict: Verdict | undefined
  let peerIdentity: string | undefined
  try {
    verdict = await plan.policy?.judge()
    if (verdict !== undefined) deps.onVerdict?.(verdict, plan.info)
    if (verdict?.allowed === false) throw new ProxyError('policy-denied', deniedText(verdict.message))
    const { signal } = tracked
    // A verdict that came late may have been overtaken by a policy, or by the end of the workload.
    signal.throwIfAborted()
    const { downstream, upstream, info = plan.info, ...relayed } = await plan.connect(signal)
    peerIdentity = relayed.peerIdentity
    record ??= open(info)
    const { error, side } = await pump(downstream, upstream, counts, signal)
    if (error !== undefined) throw sideError(error, side)
    const refusal = relayed.refusal?.(counts)
    if (refusal !== undefined) throw new ProxyError('refused', refusal)
    record.close({ policy: verdict?.policy, peerIdentity, verdict })
    return { kind: 'complete' }
  } catch (error) {
    const cut = tracked.denied()
    // The policy that it was waiting for both refuses and cuts it: one decision.
    if (cut !== undefined && verdict?.allowed !== false) {
      verdict = cut
      deps.onVerdict?.(cut, plan.info)
    }
    plan.fail(error)
    record ??= open(plan.info)
    const outcome = { flag: responseFlag(error), error: errorText(error), policy: verdict?.policy }
    record.close({ ...outcome, peerIdentity, verdict, judged: judgedText(verdict, plan) })
    return { kind: 'failed', ...outcome }
  } finally {
    tracked.release()
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

function trackedAs({ info, originalDestination, actualDestination }: RelayPlan): TrackedConnection {
  return {
    direction: info.direction,
    source: info.source.address,
    originalDestination,
    actualDestination,
    protocol: info.secure ? 'HBONE' : 'TCP',
  }
}

/** Whom and what the policies saw that refused it. */
function judgedText(verdict: Verdict | undefined, { policy }: RelayPlan): string | undefined {
  return verdict?.allowed !== false || policy === undefined ? undefined : explainSubject(policy.context)
}

/** Our own reasons stand as they are; a broken copy says in which direction. */
function sideError(error: Error, side: 'send' | 'receive' | undefined): Error {
  if (error instanceof ProxyError || side === undefined) return error
  return new Error(`${side}: ${error.message}`, { cause: error })
}
