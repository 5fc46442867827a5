import {
  type CompiledMatch,
  CompiledPolicy,
  fieldHolds,
  type PolicySubject,
  policySubject,
} from './compiled-policy.ts'
import type { AuthorizationPolicy } from './model.ts'
import { policyName } from './names.ts'
import { inOrder } from './policy-order.ts'
import { explainPolicy } from './policy-tree.ts'
import type { DryRunResult, PolicyContext, PolicyResult, UnmatchedPolicies, Verdict } from './verdict.ts'

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

type Decision = Omit<Verdict, 'tree'>

/** Names in `unmatched`: what a log line can hold. */
const UNMATCHED_NAMED = 5

const NO_ALLOW_POLICIES: Decision = {
  allowed: true,
  reason: 'no-allow-policies',
  policy: undefined,
  rule: undefined,
  message: 'no allow policies, allow',
}

/** `policies` in the order of evaluation. */
function decide(policies: readonly AuthorizationPolicy[], subject: PolicySubject): Decision {
  const dryRun: DryRunResult[] = []
  let anyAllow = false
  for (const policy of policies) {
    const rule = matchingRule(CompiledPolicy.of(policy), subject)
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

/**
 * Number of the first rule of a policy that a connection matches, from 1
 * (wire/ztunnel 8.4). Plain loops, here and below: with callbacks a verdict took
 * twice as long (bench/policy.ts).
 */
function matchingRule(policy: CompiledPolicy, subject: PolicySubject): number | undefined {
  let number = 0
  for (const clauses of policy.compiled) {
    number++
    if (ruleHolds(clauses, subject)) return number
  }
  return undefined
}

function ruleHolds(clauses: readonly (readonly CompiledMatch[])[], subject: PolicySubject): boolean {
  for (const clause of clauses) if (!clauseHolds(clause, subject)) return false
  return true
}

function clauseHolds(matches: readonly CompiledMatch[], subject: PolicySubject): boolean {
  if (matches.length === 0) return true
  for (const match of matches) if (matchHolds(match, subject)) return true
  return false
}

/** A match without any list never matches (wire/ztunnel 8.4). */
function matchHolds(match: CompiledMatch, subject: PolicySubject): boolean {
  if (match.length === 0) return false
  for (const field of match) if (!fieldHolds(field, subject)) return false
  return true
}

function decidedBy(policy: AuthorizationPolicy, rule: number): Decision {
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

function noneAllowed(policies: readonly AuthorizationPolicy[]): Decision {
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
function unmatchedOf(policies: readonly AuthorizationPolicy[]): UnmatchedPolicies {
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
