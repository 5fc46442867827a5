import {
  type CompiledMatch,
  CompiledPolicy,
  fieldHolds,
  type PolicySubject,
  policySubject,
} from './compiled-policy.ts'
import type { AuthorizationPolicy } from './model.ts'
import { policyName } from './names.ts'
import { explainPolicy } from './policy-tree.ts'
import type { DryRunResult, PolicyContext, PolicyResult, Verdict } from './verdict.ts'

/**
 * Judges a connection by the policies that bear on its destination: dry-run
 * DENY (reported), enforced DENY, dry-run ALLOW (reported), enforced ALLOW
 * (wire/ztunnel 8.3). A dry-run ALLOW does not switch on the default of
 * denying. The first enforced DENY that matches ends it.
 */
export function authorize(policies: readonly AuthorizationPolicy[], context: PolicyContext): Verdict {
  const tree = (): readonly PolicyResult[] => {
    const subject = policySubject(context)
    return inOrder(policies).map((policy) => explainPolicy(CompiledPolicy.of(policy), subject))
  }
  if (policies.length === 0) return { ...NO_ALLOW_POLICIES, tree }
  return { ...decide(inOrder(policies), policySubject(context)), tree }
}

/** Whether one policy matches a connection, whatever its action (wire/ztunnel 8.4). */
export function policyMatches(policy: CompiledPolicy, subject: PolicySubject): boolean {
  return policy.compiled.some((clauses) =>
    clauses.every((matches) => matches.length === 0 || matches.some((match) => matchHolds(match, subject))),
  )
}

type Decision = Omit<Verdict, 'tree'>

const NO_ALLOW_POLICIES: Decision = {
  allowed: true,
  reason: 'no-allow-policies',
  policy: undefined,
  message: 'no allow policies, allow',
}

/** `policies` in the order of evaluation. */
function decide(policies: readonly AuthorizationPolicy[], subject: PolicySubject): Decision {
  const dryRun: DryRunResult[] = []
  let anyAllow = false
  for (const policy of policies) {
    const matched = policyMatches(CompiledPolicy.of(policy), subject)
    if (policy.dryRun) {
      dryRun.push({ policy: policyName(policy), action: policy.action, matched })
    } else if (matched) {
      return { ...decidedBy(policy), ...reported(dryRun) }
    } else if (policy.action === 'ALLOW') {
      anyAllow = true
    }
  }
  return { ...(anyAllow ? NONE_ALLOWED : NO_ALLOW_POLICIES), ...reported(dryRun) }
}

const NONE_ALLOWED: Decision = {
  allowed: false,
  reason: 'allow-policies-but-none-matched',
  policy: undefined,
  message: 'allow policies exist, but none allowed',
}

function decidedBy(policy: AuthorizationPolicy): Decision {
  const name = policyName(policy)
  return policy.action === 'DENY'
    ? { allowed: false, reason: 'explicitly-denied', policy: name, message: `explicitly denied by: ${name}` }
    : { allowed: true, reason: 'explicitly-allowed', policy: name, message: `explicitly allowed by: ${name}` }
}

function reported(dryRun: readonly DryRunResult[]): Pick<Decision, 'dryRun'> {
  return dryRun.length === 0 ? {} : { dryRun }
}

/** A match without any list never matches (wire/ztunnel 8.4). */
function matchHolds(match: CompiledMatch, subject: PolicySubject): boolean {
  return match.length > 0 && match.every((field) => fieldHolds(field, subject))
}

/** The order of evaluation; policies of one kind stay in the order given. */
function inOrder(policies: readonly AuthorizationPolicy[]): readonly AuthorizationPolicy[] {
  return policies.length < 2 ? policies : policies.toSorted((a, b) => turn(a) - turn(b))
}

function turn(policy: AuthorizationPolicy): number {
  return (policy.action === 'DENY' ? 0 : 2) + (policy.dryRun ? 0 : 1)
}
