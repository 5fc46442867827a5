import { fieldHolds } from '../compiled-policy.ts'
import { decide, NO_ALLOW_POLICIES } from '../decide.ts'
import { inOrder } from '../policy-order.ts'
import { explainField, explainRule, policyResult } from '../policy-tree.ts'
import type { FieldResult, PolicyResult, RuleResult, Verdict } from '../verdict.ts'
import {
  CompiledWaypointPolicy,
  type CompiledWaypointRule,
  type WaypointField,
} from './compiled-waypoint-policy.ts'
import { isRequestField } from './http-fields.ts'
import { HttpSubject, type WaypointPolicyContext } from './http-subject.ts'
import type { WaypointPolicy } from './policy-model.ts'
import type { HttpRequestHead } from './request.ts'

/**
 * Judges a request by the policies that bear on what it is addressed to
 * (`WaypointPolicyTable.for`), in the same order and, for the fields of layer 4,
 * by the same comparisons as a node proxy judges connections.
 *
 * Without `head` it judges a connection of another protocol, as Istio does: an
 * ALLOW rule with any field of HTTP is left out, so that less is allowed; such
 * a field is left out of a DENY rule, so that more is denied.
 */
export function authorizeHttp(
  policies: readonly WaypointPolicy[],
  context: WaypointPolicyContext,
  head: HttpRequestHead | undefined,
): Verdict {
  const tree = (): readonly PolicyResult[] => {
    const subject = new HttpSubject(context, head)
    return inOrder(policies).map((policy) => explain(CompiledWaypointPolicy.of(policy), subject))
  }
  if (policies.length === 0) return { ...NO_ALLOW_POLICIES, tree }
  const subject = new HttpSubject(context, head)
  const decision = decide(inOrder(policies), (policy) =>
    matchingRule(CompiledWaypointPolicy.of(policy), subject),
  )
  return { ...decision, tree }
}

/** Number of the first rule that matches, from 1. Plain loops, as at layer 4. */
function matchingRule(policy: CompiledWaypointPolicy, subject: HttpSubject): number | undefined {
  let number = 0
  for (const rule of policy.compiled) {
    number++
    if (!isLeftOut(policy, rule, subject) && ruleHolds(rule, subject)) return number
  }
  return undefined
}

function ruleHolds({ clauses }: CompiledWaypointRule, subject: HttpSubject): boolean {
  for (const clause of clauses) if (!clauseHolds(clause, subject)) return false
  return true
}

function clauseHolds(matches: readonly (readonly WaypointField[])[], subject: HttpSubject): boolean {
  if (matches.length === 0) return true
  for (const match of matches) if (matchHolds(match, subject)) return true
  return false
}

function isLeftOut(
  { action }: CompiledWaypointPolicy,
  { needsRequest }: CompiledWaypointRule,
  { head }: HttpSubject,
): boolean {
  return needsRequest && head === undefined && action === 'ALLOW'
}

/** A match without any list never matches, as at layer 4. */
function matchHolds(match: readonly WaypointField[], subject: HttpSubject): boolean {
  if (match.length === 0) return false
  for (const field of match) if (!holds(field, subject)) return false
  return true
}

function holds(field: WaypointField, subject: HttpSubject): boolean {
  return field.layer === 4 ? fieldHolds(field.field, subject.connection) : subject.holds(field.field)
}

function explain(policy: CompiledWaypointPolicy, subject: HttpSubject): PolicyResult {
  const rules = policy.compiled.map((rule): RuleResult => {
    const explained = explainRule(rule.clauses, (field: WaypointField) => fieldResult(field, subject))
    return isLeftOut(policy, rule, subject) ? { ...explained, matched: false } : explained
  })
  return policyResult(policy, rules)
}

function fieldResult(field: WaypointField, subject: HttpSubject): FieldResult {
  if (field.layer === 4) return explainField(field.field, subject.connection)
  const { name, kind, expected } = field.field
  // All that the request may be taken for: else nobody would understand that `/x/..;/admin` is denied.
  const actual = subject.texts(field.field).join(' or ')
  const matched = subject.holds(field.field)
  if (kind === 'unsupported') return { field: name, matched, actual: 'not verified here', expected }
  if (isRequestField(kind) && subject.head === undefined) {
    return { field: name, matched, actual: 'no HTTP request', expected }
  }
  return { field: name, matched, actual, expected }
}
