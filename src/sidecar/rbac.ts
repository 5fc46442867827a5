import {
  type AuthorizationPolicy,
  cidrContains,
  type PolicyMatch,
  parseAddress,
  parseCidr,
  policyName,
  type ServiceAccountMatch,
  type StringMatch,
} from '../mesh/index.ts'
import { extension, type Json } from './envoy.ts'
import { SidecarError } from './errors.ts'

/**
 * Where policies are enforced. `tunnel`: on the CONNECT itself, which is
 * refused before anybody is dialled; `addresses` are the workload's own, and
 * authorities must come in their canonical form only.
 * `connection`: on a connection of its own, by its certificate. Envoy judges
 * those at the client's first byte only, when the application may have
 * spoken already.
 */
export type EnforcedOn =
  | { readonly kind: 'tunnel'; readonly addresses: readonly string[] }
  | { readonly kind: 'connection' }

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
  on: EnforcedOn,
  statPrefix: string,
): readonly Json[] {
  const enforced = policies.filter(({ dryRun }) => !dryRun)
  return (['DENY', 'ALLOW'] as const).flatMap((action) => {
    const of = enforced.filter((policy) => policy.action === action)
    if (of.length === 0) return []
    const rules = { action, policies: Object.fromEntries(of.flatMap((policy) => entries(policy, on))) }
    const prefix = `${statPrefix}_${action.toLowerCase()}`
    return on.kind === 'tunnel'
      ? [
          extension('envoy.filters.http.rbac', 'filters.http.rbac.v3.RBAC', {
            rules_stat_prefix: `${prefix}.`,
            rules,
          }),
        ]
      : [
          extension('envoy.filters.network.rbac', 'filters.network.rbac.v3.RBAC', {
            stat_prefix: prefix,
            rules,
          }),
        ]
  })
}

/** Half of a condition each: Envoy wants both. */
interface Condition {
  readonly permissions: readonly Json[]
  readonly principals: readonly Json[]
}

const ALWAYS: Condition = { permissions: [], principals: [] }

function entries(policy: AuthorizationPolicy, on: EnforcedOn): readonly [string, Json][] {
  const name = policyName(policy)
  const alternatives = policy.rules.flatMap((clauses) => ruleAlternatives(name, clauses, on))
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
  on: EnforcedOn,
): readonly Condition[] {
  let alternatives: readonly Condition[] = [ALWAYS]
  for (const matches of clauses) {
    // A clause without matches always holds; a match without fields never does.
    if (matches.length === 0) continue
    const conditions = matches.flatMap((match) => condition(match, on) ?? [])
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
function condition(match: PolicyMatch, on: EnforcedOn): Condition | undefined {
  const id = (string_match: Json): Json => ({ authenticated: { principal_name: string_match } })
  const namespace = (value: StringMatch): Json => namespaceId(value, id)
  const account = ({ namespace, serviceAccount }: ServiceAccountMatch): Json =>
    id(regex(`spiffe://[^/]+/ns/${quote(namespace)}/sa/${quote(serviceAccount)}`))
  const principals = [
    ...both(match.principals, match.notPrincipals, (value) => id(principal(value)), 'ids', 'id'),
    ...both(match.namespaces, match.notNamespaces, namespace, 'ids', 'id'),
    ...both(match.serviceAccounts, match.notServiceAccounts, account, 'ids', 'id'),
    ...both(match.sourceIps, match.notSourceIps, (ip) => ({ direct_remote_ip: block(ip) }), 'ids', 'id'),
  ]
  const { destinationIps, notDestinationIps, destinationPorts, notDestinationPorts } = match
  const permissions = [
    ...both(destinationIps, notDestinationIps, (ip) => destinationIp(ip, on), 'rules', 'rule'),
    ...both(destinationPorts, notDestinationPorts, (port) => destinationPort(port, on), 'rules', 'rule'),
  ]
  return principals.length + permissions.length === 0 ? undefined : { permissions, principals }
}

/** The destination of a tunnel is its authority, which can only be one of the workload's own addresses. */
function destinationIp(cidr: string, on: EnforcedOn): Json {
  if (on.kind === 'connection') return { destination_ip: block(cidr) }
  const range = parseCidr(cidr)
  const own = on.addresses.filter((address) => {
    const words = parseAddress(address)
    return range !== undefined && words !== undefined && cidrContains(range, words)
  })
  // OR of nothing is not to be had.
  if (own.length === 0) return { not_rule: { any: true } }
  return {
    or_rules: {
      rules: own.map((address) =>
        authority({ prefix: address.includes(':') ? `[${address}]:` : `${address}:` }),
      ),
    },
  }
}

function destinationPort(port: number, on: EnforcedOn): Json {
  return on.kind === 'connection' ? { destination_port: port } : authority({ suffix: `:${port}` })
}

function authority(string_match: Json): Json {
  return { header: { name: ':authority', string_match } }
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
