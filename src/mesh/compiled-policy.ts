import { type AddressWords, type Cidr, parseAddress } from './addresses.ts'
import { identityPrincipal } from './identity.ts'
import { blocks, hitsAddress, hitsText } from './match-values.ts'
import type { AuthorizationPolicy, PolicyMatch, ServiceAccountMatch, StringMatch } from './model.ts'
import type { PolicyContext } from './verdict.ts'

/** A connection as policies compare it: made once, whatever the number of policies. */
export interface PolicySubject {
  /** `trustDomain/ns/namespace/sa/account`; undefined for plaintext. */
  readonly principal: string | undefined
  /** Empty for plaintext, and compared as such (wire/ztunnel 8.5). */
  readonly namespace: string
  readonly serviceAccount: string | undefined
  readonly context: PolicyContext
  readonly source: AddressWords | undefined
  readonly destination: AddressWords | undefined
}

/** One list of a match that is not empty. */
export type MatchField = {
  /** The match's own name for it: `principals`, `notSourceIps`, … */
  readonly name: keyof PolicyMatch
  /** A `not…` list: holds when nothing in it hits. */
  readonly negative: boolean
} & (
  | { readonly kind: 'namespace' | 'principal'; readonly values: readonly StringMatch[] }
  | { readonly kind: 'serviceAccount'; readonly values: readonly ServiceAccountMatch[] }
  | { readonly kind: 'sourceIp' | 'destinationIp'; readonly values: readonly Cidr[] }
  | { readonly kind: 'destinationPort'; readonly values: readonly number[] }
)

/** The lists of one match that are not empty; all must hold. */
export type CompiledMatch = readonly MatchField[]

/** OR over rules, AND over a rule's clauses, OR over a clause's matches. */
export type CompiledRules = readonly (readonly (readonly CompiledMatch[])[])[]

/**
 * A policy with its address blocks parsed, once. It is an ordinary policy to
 * whoever reads it, so that a store can hand it out and `authorize` finds the
 * work done.
 */
export class CompiledPolicy implements AuthorizationPolicy {
  readonly name: string
  readonly namespace: string
  readonly scope: AuthorizationPolicy['scope']
  readonly action: AuthorizationPolicy['action']
  readonly dryRun: boolean
  readonly rules: AuthorizationPolicy['rules']
  #compiled: CompiledRules | undefined

  constructor(policy: AuthorizationPolicy) {
    this.name = policy.name
    this.namespace = policy.namespace
    this.scope = policy.scope
    this.action = policy.action
    this.dryRun = policy.dryRun
    this.rules = policy.rules
  }

  /** The policy itself when it is compiled already. */
  static of(policy: AuthorizationPolicy): CompiledPolicy {
    return policy instanceof CompiledPolicy ? policy : new CompiledPolicy(policy)
  }

  get compiled(): CompiledRules {
    this.#compiled ??= this.rules.map((clauses) => clauses.map((matches) => matches.map(compileMatch)))
    return this.#compiled
  }
}

/** The connection in the form that `fieldHolds` compares. */
export function policySubject(context: PolicyContext): PolicySubject {
  const identity = context.sourceIdentity
  return {
    principal: identity === undefined ? undefined : identityPrincipal(identity),
    namespace: identity?.namespace ?? '',
    serviceAccount: identity?.serviceAccount,
    context,
    source: parseAddress(context.sourceAddress),
    destination: parseAddress(context.destinationAddress),
  }
}

/** Whether a connection satisfies one list of a match (wire/ztunnel 8.4, 8.5). */
export function fieldHolds(field: MatchField, subject: PolicySubject): boolean {
  return fieldHits(field, subject) !== field.negative
}

/** The lists of a match that are not empty. */
export function compileMatch(match: PolicyMatch): CompiledMatch {
  const fields: MatchField[] = [
    { kind: 'namespace', name: 'namespaces', negative: false, values: match.namespaces },
    { kind: 'namespace', name: 'notNamespaces', negative: true, values: match.notNamespaces },
    { kind: 'principal', name: 'principals', negative: false, values: match.principals },
    { kind: 'principal', name: 'notPrincipals', negative: true, values: match.notPrincipals },
    { kind: 'serviceAccount', name: 'serviceAccounts', negative: false, values: match.serviceAccounts },
    { kind: 'serviceAccount', name: 'notServiceAccounts', negative: true, values: match.notServiceAccounts },
    { kind: 'sourceIp', name: 'sourceIps', negative: false, values: blocks(match.sourceIps) },
    { kind: 'sourceIp', name: 'notSourceIps', negative: true, values: blocks(match.notSourceIps) },
    { kind: 'destinationIp', name: 'destinationIps', negative: false, values: blocks(match.destinationIps) },
    {
      kind: 'destinationIp',
      name: 'notDestinationIps',
      negative: true,
      values: blocks(match.notDestinationIps),
    },
    { kind: 'destinationPort', name: 'destinationPorts', negative: false, values: match.destinationPorts },
    {
      kind: 'destinationPort',
      name: 'notDestinationPorts',
      negative: true,
      values: match.notDestinationPorts,
    },
  ]
  return fields.filter(({ values }) => values.length > 0)
}

function fieldHits(field: MatchField, subject: PolicySubject): boolean {
  switch (field.kind) {
    case 'namespace':
      return hitsText(field.values, subject.namespace)
    case 'principal':
      return subject.principal !== undefined && hitsText(field.values, subject.principal)
    case 'serviceAccount':
      return field.values.some(
        (value) => value.serviceAccount === subject.serviceAccount && value.namespace === subject.namespace,
      )
    case 'sourceIp':
      return hitsAddress(field.values, subject.source)
    case 'destinationIp':
      return hitsAddress(field.values, subject.destination)
    case 'destinationPort':
      return field.values.includes(subject.context.destinationPort)
  }
}
