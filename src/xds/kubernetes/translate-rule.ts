import { EMPTY_MATCH } from '../../mesh/empty-match.ts'
import type { PolicyMatch } from '../../mesh/model.ts'
import type { PolicyCondition, PolicyOperation, PolicyRule, PolicySource } from './objects.ts'
import { conditionMatch, operationMatch, sourceMatch, type ValueContext } from './rule-matches.ts'

export interface RuleContext extends ValueContext {
  readonly action: 'ALLOW' | 'DENY'
  /** `field` continues the rule's own path. */
  readonly warn: (field: string, message: string) => void
}

/**
 * The clauses of one rule, all of which must hold: one for its operations,
 * one for its sources, one for each condition. Undefined when the rule must
 * be left out: an ALLOW rule that asks for more than L4 can see.
 */
export function translateRule(
  rule: PolicyRule,
  context: RuleContext,
): readonly (readonly PolicyMatch[])[] | undefined {
  const clauses: Clause[] = []
  if (rule.to !== undefined)
    clauses.push(rule.to.map(({ operation }, index) => fromOperation(operation, index)))
  if (rule.from !== undefined) {
    clauses.push(rule.from.map(({ source }, index) => fromSource(source, index, context)))
  }
  for (const [index, when] of (rule.when ?? []).entries()) clauses.push([fromCondition(when, index, context)])

  const unsupported = clauses.flat().flatMap((entry) => entry.unsupported)
  if (context.action === 'ALLOW' && unsupported.length > 0) {
    for (const field of unsupported) {
      context.warn(
        field,
        'not visible at L4: the whole rule is left out, and what it would allow is not allowed',
      )
    }
    return undefined
  }
  for (const field of unsupported) context.warn(field, 'not visible at L4: left out of the rule')
  if (clauses.some((clause) => clause.every(({ match }) => isEmpty(match)))) {
    context.warn(
      '',
      'never denies anything: nothing of one of its parts is visible at L4; use a waypoint for it',
    )
  }
  return clauses.map((clause) => clause.map(({ match }) => match))
}

type Clause = readonly Entry[]

interface Entry {
  readonly match: PolicyMatch
  /** Paths, within the rule, of what could not be translated. */
  readonly unsupported: readonly string[]
}

type SourceField = keyof PolicySource
type OperationField = keyof PolicyOperation

/** Trust domains are L4, but no field of the wire format carries them: ignoring them would allow more than was written. */
const UNSUPPORTED_SOURCE: readonly SourceField[] = [
  'requestPrincipals',
  'notRequestPrincipals',
  'remoteIpBlocks',
  'notRemoteIpBlocks',
  'trustDomains',
  'notTrustDomains',
]
const UNSUPPORTED_OPERATION: readonly OperationField[] = [
  'hosts',
  'notHosts',
  'methods',
  'notMethods',
  'paths',
  'notPaths',
]

function fromOperation(operation: PolicyOperation, index: number): Entry {
  const unsupported = UNSUPPORTED_OPERATION.filter((field) => operation[field] !== undefined)
  return {
    match: operationMatch(operation),
    unsupported: unsupported.map((field) => `.to[${index}].operation.${field}`),
  }
}

function fromSource(source: PolicySource, index: number, context: RuleContext): Entry {
  const unsupported = UNSUPPORTED_SOURCE.filter((field) => source[field] !== undefined)
  return {
    match: sourceMatch(source, context),
    unsupported: unsupported.map((field) => `.from[${index}].source.${field}`),
  }
}

function fromCondition(when: PolicyCondition, index: number, { trustDomains }: RuleContext): Entry {
  const match = conditionMatch(when, trustDomains)
  if (match === undefined) return { match: EMPTY_MATCH, unsupported: [`.when[${index}].key`] }
  return { match: { ...EMPTY_MATCH, ...match }, unsupported: [] }
}

function isEmpty(match: PolicyMatch): boolean {
  return Object.values(match).every((list: readonly unknown[]) => list.length === 0)
}
