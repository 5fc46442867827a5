import { type CompiledPolicy, fieldHolds, type MatchField, type PolicySubject } from './compiled-policy.ts'
import type { Judged } from './decide.ts'
import type { StringMatch } from './model.ts'
import { policyName } from './names.ts'
import type { FieldResult, MatchResult, PolicyResult, RuleResult } from './verdict.ts'

/** How a policy judges a connection, down to every list of every match: nothing is skipped once the outcome is clear. */
export function explainPolicy(policy: CompiledPolicy, subject: PolicySubject): PolicyResult {
  const rules = policy.compiled.map((clauses) =>
    explainRule(clauses, (field: MatchField) => explainField(field, subject)),
  )
  return policyResult(policy, rules)
}

/** A policy matches when one of its rules does. */
export function policyResult(policy: Judged, rules: readonly RuleResult[]): PolicyResult {
  return {
    policy: policyName(policy),
    action: policy.action,
    dryRun: policy.dryRun,
    matched: rules.some((rule) => rule.matched),
    rules,
  }
}

/** A rule's clauses, each of matches, each of fields. */
export function explainRule<F>(
  clauses: readonly (readonly (readonly F[])[])[],
  explain: (field: F) => FieldResult,
): RuleResult {
  const results = clauses.map((clause) => {
    const matches = clause.map((match) => explainMatch(match, explain))
    return { matched: matches.length === 0 || matches.some(({ matched }) => matched), matches }
  })
  return { matched: results.every(({ matched }) => matched), clauses: results }
}

/** One list of a match, and what the connection has in its place. */
export function explainField(field: MatchField, subject: PolicySubject): FieldResult {
  return {
    field: field.name,
    matched: fieldHolds(field, subject),
    actual: actualOf(field, subject),
    expected: expectedOf(field),
  }
}

function explainMatch<F>(match: readonly F[], explain: (field: F) => FieldResult): MatchResult {
  const fields = match.map(explain)
  const empty = fields.length === 0
  return { matched: !empty && fields.every(({ matched }) => matched), empty, fields }
}

function actualOf(
  { kind }: MatchField,
  { principal, namespace, serviceAccount, context }: PolicySubject,
): string {
  switch (kind) {
    case 'namespace':
      return namespace
    case 'principal':
      return principal ?? ''
    case 'serviceAccount':
      return serviceAccount === undefined ? '' : `${namespace}/${serviceAccount}`
    case 'sourceIp':
      return context.sourceAddress
    case 'destinationIp':
      return context.destinationAddress
    case 'destinationPort':
      return String(context.destinationPort)
  }
}

function expectedOf(field: MatchField): readonly string[] {
  switch (field.kind) {
    case 'namespace':
    case 'principal':
      return field.values.map(stringMatchText)
    case 'serviceAccount':
      return field.values.map(({ namespace, serviceAccount }) => `${namespace}/${serviceAccount}`)
    case 'sourceIp':
    case 'destinationIp':
      return field.values.map(({ text }) => text)
    case 'destinationPort':
      return field.values.map(String)
  }
}

/** As an AuthorizationPolicy writes it: `x`, `x*`, `*x`, `*`. */
export function stringMatchText(match: StringMatch): string {
  switch (match.kind) {
    case 'exact':
      return match.value
    case 'prefix':
      return `${match.value}*`
    case 'suffix':
      return `*${match.value}`
    case 'presence':
      return '*'
  }
}
