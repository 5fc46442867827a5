import {
  type CompiledMatch,
  CompiledPolicy,
  fieldHolds,
  type PolicySubject,
  policySubject,
} from './compiled-policy.ts'
import { decide, NO_ALLOW_POLICIES } from './decide.ts'
import type { AuthorizationPolicy } from './model.ts'
import { inOrder } from './policy-order.ts'
import { explainPolicy } from './policy-tree.ts'
import type { PolicyContext, PolicyResult, Verdict } from './verdict.ts'

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
  const subject = policySubject(context)
  const decision = decide(inOrder(policies), (policy) => matchingRule(CompiledPolicy.of(policy), subject))
  return { ...decision, tree }
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
