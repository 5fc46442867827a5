import {
  type AuthorizationPolicy,
  type PolicyMatch,
  policyName,
  type ServiceAccountMatch,
  type StringMatch,
} from '../mesh/index.ts'
import { extension, type Json, PEER_PRINCIPAL } from './envoy.ts'
import { SidecarError } from './errors.ts'

/** Where Envoy finds the peer's SPIFFE id: as 15008 left it, or in the connection's own certificate. */
export type PrincipalSource = 'tunnel' | 'certificate'

/**
 * Alternatives that one rule may become: Envoy keeps who and what apart, so
 * that AND over OR has to be multiplied out. Istio's own rules make a handful.
 */
export const MAX_ALTERNATIVES = 1000

/**
 * L4 policies as Envoy's RBAC filters: first what denies, then, if anything
 * allows, what allows. Dry-run policies decide nothing and are left out.
 * Throws SidecarError `policy-too-large`.
 */
export function policyFilters(
  policies: readonly AuthorizationPolicy[],
  source: PrincipalSource,
  statPrefix: string,
): readonly Json[] {
  const enforced = policies.filter(({ dryRun }) => !dryRun)
  return (['DENY', 'ALLOW'] as const).flatMap((action) => {
    const of = enforced.filter((policy) => policy.action === action)
    if (of.length === 0) return []
    const rules = { action, policies: Object.fromEntries(of.flatMap((policy) => entries(policy, source))) }
    const config = { stat_prefix: `${statPrefix}_${action.toLowerCase()}`, rules }
    return [extension('envoy.filters.network.rbac', 'filters.network.rbac.v3.RBAC', config)]
  })
}

/** Half of a condition each: Envoy wants both. */
interface Condition {
  readonly permissions: readonly Json[]
  readonly principals: readonly Json[]
}

const ALWAYS: Condition = { permissions: [], principals: [] }

function entries(policy: AuthorizationPolicy, source: PrincipalSource): readonly [string, Json][] {
  const name = policyName(policy)
  const alternatives = policy.rules.flatMap((clauses) => ruleAlternatives(name, clauses, source))
  return alternatives.map(({ permissions, principals }, index) => [
    `${name}[${index}]`,
    {
      permissions: [permissions.length === 0 ? { any: true } : { and_rules: { rules: permissions } }],
      principals: [principals.length === 0 ? { any: true } : { and_ids: { ids: principals } }],
    },
  ])
}

/** OR of conditions that says what AND over a rule's clauses says. */
function ruleAlternatives(
  name: string,
  clauses: readonly (readonly PolicyMatch[])[],
  source: PrincipalSource,
): readonly Condition[] {
  let alternatives: readonly Condition[] = [ALWAYS]
  for (const matches of clauses) {
    // A clause without matches always holds; a match without fields never does.
    if (matches.length === 0) continue
    const conditions = matches.flatMap((match) => condition(match, source) ?? [])
    if (alternatives.length * conditions.length > MAX_ALTERNATIVES) {
      const message = `policy ${name} has a rule of more than ${MAX_ALTERNATIVES} alternatives, which is more than an Envoy is given: split it`
      throw new SidecarError('policy-too-large', message)
    }
    alternatives = alternatives.flatMap((left) =>
      conditions.map((right) => ({
        permissions: [...left.permissions, ...right.permissions],
        principals: [...left.principals, ...right.principals],
      })),
    )
  }
  return alternatives
}

/** Undefined for a match that never holds. */
function condition(match: PolicyMatch, source: PrincipalSource): Condition | undefined {
  const id = (string_match: Json): Json =>
    source === 'tunnel'
      ? { filter_state: { key: PEER_PRINCIPAL, string_match } }
      : { authenticated: { principal_name: string_match } }
  const namespace = (value: StringMatch): Json => namespaceId(value, id)
  const account = ({ namespace, serviceAccount }: ServiceAccountMatch): Json =>
    id(regex(`spiffe://[^/]+/ns/${quote(namespace)}/sa/${quote(serviceAccount)}`))
  const principals = [
    ...both(match.principals, match.notPrincipals, (value) => id(principal(value)), 'ids', 'id'),
    ...both(match.namespaces, match.notNamespaces, namespace, 'ids', 'id'),
    ...both(match.serviceAccounts, match.notServiceAccounts, account, 'ids', 'id'),
    ...both(match.sourceIps, match.notSourceIps, (ip) => ({ direct_remote_ip: block(ip) }), 'ids', 'id'),
  ]
  const permissions = [
    ...both(
      match.destinationIps,
      match.notDestinationIps,
      (ip) => ({ destination_ip: block(ip) }),
      'rules',
      'rule',
    ),
    ...both(
      match.destinationPorts,
      match.notDestinationPorts,
      (port) => ({ destination_port: port }),
      'rules',
      'rule',
    ),
  ]
  return principals.length + permissions.length === 0 ? undefined : { permissions, principals }
}

/** One kind of field: any of these, and none of those. */
function both<T>(
  positive: readonly T[],
  negative: readonly T[],
  one: (value: T) => Json,
  list: 'ids' | 'rules',
  item: 'id' | 'rule',
): readonly Json[] {
  const any = (values: readonly T[]): Json => ({ [`or_${list}`]: { [list]: values.map(one) } })
  return [
    ...(positive.length === 0 ? [] : [any(positive)]),
    ...(negative.length === 0 ? [] : [{ [`not_${item}`]: any(negative) }]),
  ]
}

/** Policies compare without the scheme; a suffix must not match what is no identity. */
function principal(value: StringMatch): Json {
  switch (value.kind) {
    case 'presence':
      return regex('spiffe://.+')
    case 'suffix':
      return regex(`spiffe://.*${quote(value.value)}`)
    default:
      return { [value.kind]: `spiffe://${value.value}` }
  }
}

/** Who proves nothing has the namespace "" (wire/ztunnel 8.5). */
function namespaceId(value: StringMatch, id: (match: Json) => Json): Json {
  const named = (text: string): Json => id(regex(`spiffe://[^/]+/ns/${text}/sa/.*`))
  if (value.kind === 'presence') return named('[^/]+')
  if (value.value === '') return value.kind === 'exact' ? { not_id: named('[^/]+') } : { any: true }
  if (value.kind === 'prefix') return named(`${quote(value.value)}[^/]*`)
  if (value.kind === 'suffix') return named(`[^/]*${quote(value.value)}`)
  return named(quote(value.value))
}

function block(cidr: string): Json {
  const [address = '', length] = cidr.split('/')
  const whole = address.includes(':') ? 128 : 32
  return { address_prefix: address, prefix_len: length === undefined ? whole : Number(length) }
}

function regex(text: string): Json {
  return { safe_regex: { regex: text } }
}

function quote(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}
