import type { PolicyMatch, ServiceAccountMatch, StringMatch } from '../../mesh/model.ts'
import type { PolicyCondition, PolicyOperation, PolicyRule, PolicySource } from './objects.ts'
import { expandPrincipals } from './trust-domain-aliases.ts'

export interface RuleContext {
  readonly action: 'ALLOW' | 'DENY'
  /** The policy's: where a bare service account name is looked for. */
  readonly namespace: string
  /** The mesh's trust domain, then its aliases. */
  readonly trustDomains: readonly string[]
  /** `field` continues the rule's own path. */
  readonly warn: (field: string, message: string) => void
}

/** A match without any field. It never matches. */
export const EMPTY_MATCH: PolicyMatch = {
  namespaces: [],
  notNamespaces: [],
  principals: [],
  notPrincipals: [],
  serviceAccounts: [],
  notServiceAccounts: [],
  sourceIps: [],
  notSourceIps: [],
  destinationIps: [],
  notDestinationIps: [],
  destinationPorts: [],
  notDestinationPorts: [],
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
    match: {
      ...EMPTY_MATCH,
      destinationPorts: toPorts(operation.ports),
      notDestinationPorts: toPorts(operation.notPorts),
    },
    unsupported: unsupported.map((field) => `.to[${index}].operation.${field}`),
  }
}

function fromSource(source: PolicySource, index: number, { namespace, trustDomains }: RuleContext): Entry {
  const accounts = (names: Values) => (names ?? []).map((name) => toAccount(name, namespace))
  const unsupported = UNSUPPORTED_SOURCE.filter((field) => source[field] !== undefined)
  return {
    match: {
      ...EMPTY_MATCH,
      namespaces: toMatches(source.namespaces),
      notNamespaces: toMatches(source.notNamespaces),
      principals: toPrincipals(source.principals, trustDomains),
      notPrincipals: toPrincipals(source.notPrincipals, trustDomains),
      serviceAccounts: accounts(source.serviceAccounts),
      notServiceAccounts: accounts(source.notServiceAccounts),
      sourceIps: toBlocks(source.ipBlocks),
      notSourceIps: toBlocks(source.notIpBlocks),
    },
    unsupported: unsupported.map((field) => `.from[${index}].source.${field}`),
  }
}

function fromCondition(when: PolicyCondition, index: number, { trustDomains }: RuleContext): Entry {
  const match = conditionMatch(when, trustDomains)
  if (match === undefined) return { match: EMPTY_MATCH, unsupported: [`.when[${index}].key`] }
  return { match: { ...EMPTY_MATCH, ...match }, unsupported: [] }
}

type Values = readonly string[] | undefined

function conditionMatch(
  { key, values, notValues }: PolicyCondition,
  trustDomains: readonly string[],
): Partial<PolicyMatch> | undefined {
  switch (key) {
    case 'source.ip':
      return { sourceIps: toBlocks(values), notSourceIps: toBlocks(notValues) }
    case 'source.namespace':
      return { namespaces: toMatches(values), notNamespaces: toMatches(notValues) }
    case 'source.principal':
      return {
        principals: toPrincipals(values, trustDomains),
        notPrincipals: toPrincipals(notValues, trustDomains),
      }
    case 'destination.ip':
      return { destinationIps: toBlocks(values), notDestinationIps: toBlocks(notValues) }
    case 'destination.port':
      return { destinationPorts: toPorts(values), notDestinationPorts: toPorts(notValues) }
    default:
      return undefined
  }
}

/** `*` anything, `*x` ends in x, `x*` begins with x, else exactly this. */
function toMatch(text: string): StringMatch {
  if (text === '*') return { kind: 'presence' }
  if (text.startsWith('*')) return { kind: 'suffix', value: text.slice(1) }
  if (text.endsWith('*')) return { kind: 'prefix', value: text.slice(0, -1) }
  return { kind: 'exact', value: text }
}

function toMatches(values: Values): readonly StringMatch[] {
  return (values ?? []).map(toMatch)
}

function toPrincipals(values: Values, trustDomains: readonly string[]): readonly StringMatch[] {
  return expandPrincipals(values ?? [], trustDomains).map(toMatch)
}

function toPorts(values: Values): readonly number[] {
  return (values ?? []).map(Number)
}

function toBlocks(values: Values): readonly string[] {
  return (values ?? []).map((block) => {
    if (block.includes('/')) return block
    return `${block}/${block.includes(':') ? 128 : 32}`
  })
}

function toAccount(name: string, namespace: string): ServiceAccountMatch {
  const [first = '', second] = name.split('/')
  return second === undefined
    ? { namespace, serviceAccount: first }
    : { namespace: first, serviceAccount: second }
}

function isEmpty(match: PolicyMatch): boolean {
  return Object.values(match).every((list: readonly unknown[]) => list.length === 0)
}
