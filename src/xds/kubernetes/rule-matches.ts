import { EMPTY_MATCH } from '../../mesh/empty-match.ts'
import type { PolicyMatch, ServiceAccountMatch, StringMatch } from '../../mesh/model.ts'
import type { PolicyCondition, PolicyOperation, PolicySource } from './objects.ts'
import { expandPrincipals } from './trust-domain-aliases.ts'

/** What the values of a rule are read with. */
export interface ValueContext {
  /** The policy's: where a bare service account name is looked for. */
  readonly namespace: string
  /** The mesh's trust domain, then its aliases. */
  readonly trustDomains: readonly string[]
}

/** What of an operation is of layer 4: its ports. */
export function operationMatch({ ports, notPorts }: PolicyOperation): PolicyMatch {
  return { ...EMPTY_MATCH, destinationPorts: toPorts(ports), notDestinationPorts: toPorts(notPorts) }
}

/** What of a source is of layer 4 and has a field there. */
export function sourceMatch(source: PolicySource, { namespace, trustDomains }: ValueContext): PolicyMatch {
  const accounts = (names: Values) => (names ?? []).map((name) => toAccount(name, namespace))
  return {
    ...EMPTY_MATCH,
    namespaces: toMatches(source.namespaces),
    notNamespaces: toMatches(source.notNamespaces),
    principals: toPrincipals(source.principals, trustDomains),
    notPrincipals: toPrincipals(source.notPrincipals, trustDomains),
    serviceAccounts: accounts(source.serviceAccounts),
    notServiceAccounts: accounts(source.notServiceAccounts),
    sourceIps: toBlocks(source.ipBlocks),
    notSourceIps: toBlocks(source.notIpBlocks),
  }
}

/** Undefined for a key that node proxies know nothing of. */
export function conditionMatch(
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
export function toMatch(text: string): StringMatch {
  if (text === '*') return { kind: 'presence' }
  if (text.startsWith('*')) return { kind: 'suffix', value: text.slice(1) }
  if (text.endsWith('*')) return { kind: 'prefix', value: text.slice(0, -1) }
  return { kind: 'exact', value: text }
}

/** Texts of a list that may not be there. */
export function toMatches(values: Values): readonly StringMatch[] {
  return (values ?? []).map(toMatch)
}

/** An address alone is a block of one. */
export function toBlocks(values: Values): readonly string[] {
  return (values ?? []).map((block) => {
    if (block.includes('/')) return block
    return `${block}/${block.includes(':') ? 128 : 32}`
  })
}

/** `account` of the policy's own namespace, or `namespace/account`. */
export function toAccount(name: string, namespace: string): ServiceAccountMatch {
  const [first = '', second] = name.split('/')
  return second === undefined
    ? { namespace, serviceAccount: first }
    : { namespace: first, serviceAccount: second }
}

type Values = readonly string[] | undefined

function toPrincipals(values: Values, trustDomains: readonly string[]): readonly StringMatch[] {
  return expandPrincipals(values ?? [], trustDomains).map(toMatch)
}

function toPorts(values: Values): readonly number[] {
  return (values ?? []).map(Number)
}
