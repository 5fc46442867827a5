import type { AuthorizationPolicy } from './model.ts'
import { policyName } from './names.ts'
import type { DryRunResult, UnmatchedPolicies, Verdict } from './verdict.ts'

/** What the order of evaluation asks of a policy, of whatever layer. */
export type Judged = Pick<AuthorizationPolicy, 'name' | 'namespace' | 'action' | 'dryRun'>

/** A verdict without its tree. */
export type Decision = Omit<Verdict, 'tree'>

/** Without any policy. */
export const NO_ALLOW_POLICIES: Decision = {
  allowed: true,
  reason: 'no-allow-policies',
  policy: undefined,
  rule: undefined,
  message: 'no allow policies, allow',
}

/**
 * What policies come to, given in the order of evaluation (`inOrder`): the
 * first enforced DENY that matches ends it, then the first ALLOW.
 * `matchingRule` is the number of a policy's first rule that matches, from 1.
 */
export function decide<P extends Judged>(
  policies: readonly P[],
  matchingRule: (policy: P) => number | undefined,
): Decision {
  const dryRun: DryRunResult[] = []
  let anyAllow = false
  for (const policy of policies) {
    const rule = matchingRule(policy)
    const matched = rule !== undefined
    if (policy.dryRun) {
      dryRun.push({ policy: policyName(policy), action: policy.action, matched })
    } else if (matched) {
      return { ...decidedBy(policy, rule), ...reported(dryRun) }
    } else if (policy.action === 'ALLOW') {
      anyAllow = true
    }
  }
  return { ...(anyAllow ? noneAllowed(policies) : NO_ALLOW_POLICIES), ...reported(dryRun) }
}

/** Names in `unmatched`: what a log line can hold. */
const UNMATCHED_NAMED = 5

function decidedBy(policy: Judged, rule: number): Decision {
  const name = policyName(policy)
  const decided = { policy: name, rule }
  return policy.action === 'DENY'
    ? {
        ...decided,
        allowed: false,
        reason: 'explicitly-denied',
        message: `explicitly denied by: ${name}`,
      }
    : {
        ...decided,
        allowed: true,
        reason: 'explicitly-allowed',
        message: `explicitly allowed by: ${name}`,
      }
}

function noneAllowed(policies: readonly Judged[]): Decision {
  return {
    allowed: false,
    reason: 'allow-policies-but-none-matched',
    policy: undefined,
    rule: undefined,
    message: 'allow policies exist, but none allowed',
    unmatched: unmatchedOf(policies),
  }
}

/** Bounded: a denied connection must not cost in proportion to all policies' names. */
function unmatchedOf(policies: readonly Judged[]): UnmatchedPolicies {
  const names: string[] = []
  let total = 0
  for (const policy of policies) {
    if (policy.dryRun || policy.action !== 'ALLOW') continue
    total++
    if (names.length < UNMATCHED_NAMED) names.push(policyName(policy))
  }
  return { names, total }
}

function reported(dryRun: readonly DryRunResult[]): Pick<Decision, 'dryRun'> {
  return dryRun.length === 0 ? {} : { dryRun }
}
