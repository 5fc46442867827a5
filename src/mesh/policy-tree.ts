import {
  type CompiledMatch,
  type CompiledPolicy,
  fieldHolds,
  type MatchField,
  type PolicySubject,
} from './compiled-policy.ts'
import type { StringMatch } from './model.ts'
import { policyName } from './names.ts'
import type { FieldResult, MatchResult, PolicyResult, RuleResult } from './verdict.ts'

/** How a policy judges a connection, down to every list of every match: nothing is skipped once the outcome is clear. */
export function explainPolicy(policy: CompiledPolicy, subject: PolicySubject): PolicyResult {
  const rules = policy.compiled.map((clauses) => explainRule(clauses, subject))
  return {
    policy: policyName(policy),
    action: policy.action,
    dryRun: policy.dryRun,
    matched: rules.some((rule) => rule.matched),
    rules,
  }
}

function explainRule(clauses: readonly (readonly CompiledMatch[])[], subject: PolicySubject): RuleResult {
  const results = clauses.map((clause) => {
    const matches = clause.map((match) => explainMatch(match, subject))
    return { matched: matches.length === 0 || matches.some(({ matched }) => matched), matches }
  })
  return { matched: results.every(({ matched }) => matched), clauses: results }
}

function explainMatch(match: CompiledMatch, subject: PolicySubject): MatchResult {
  const fields = match.map((field) => explainField(field, subject))
  const empty = fields.length === 0
  return { matched: !empty && fields.every(({ matched }) => matched), empty, fields }
}

function explainField(field: MatchField, subject: PolicySubject): FieldResult {
  return {
    field: field.name,
    matched: fieldHolds(field, subject),
    actual: actualOf(field, subject),
    expected: expectedOf(field),
  }
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
function stringMatchText(match: StringMatch): string {
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
