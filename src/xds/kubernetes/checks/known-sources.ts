import type { AuthorizationPolicy, PolicyRule } from '../objects.ts'
import type { CheckInput, Finding } from './finding.ts'
import { type KnownAccounts, knownAccounts } from './known-accounts.ts'

/**
 * Principals, namespaces and service accounts that policies name and nothing
 * else does: mistyped in an ALLOW policy they shut somebody out, in a DENY
 * policy they let somebody in.
 */
export function knownSources(input: CheckInput): readonly Finding[] {
  const known = knownAccounts(input)
  return [...input.objects.authorizationPolicies.values()].flatMap((policy) =>
    policy.spec.rules.flatMap((rule, index) =>
      named(rule).flatMap(({ kind, field, values }) =>
        values.flatMap((value, at): readonly Finding[] => {
          const message = CHECKS[kind](value, known, policy)
          if (message === undefined) return []
          const path = `spec.rules[${index}].${field}[${at}]`
          return [{ severity: 'warning', object: policy, field: path, message }]
        }),
      ),
    ),
  )
}

interface Named {
  readonly kind: keyof typeof CHECKS
  readonly field: string
  readonly values: readonly string[]
}

type SourceCheck = (value: string, known: KnownAccounts, policy: AuthorizationPolicy) => string | undefined

const CHECKS = {
  principal: (value, known) => principalProblem(value, known),
  namespace: (value, known) =>
    some(value, known.namespaces) ? undefined : `there is no namespace ${quoted(value)}`,
  serviceAccount: (value, known, policy) => {
    const account = value.includes('/') ? value : `${policy.metadata.namespace}/${value}`
    return known.accounts.has(account) ? undefined : `there is no service account ${account}`
  },
} satisfies Record<string, SourceCheck>

/** Everything of a rule that names who connects. */
function named({ from, when }: PolicyRule): readonly Named[] {
  const found: Named[] = []
  const add = (kind: Named['kind'], field: string, values: readonly string[] | undefined) => {
    if (values !== undefined) found.push({ kind, field, values })
  }
  for (const [index, { source }] of (from ?? []).entries()) {
    const at = `from[${index}].source`
    add('principal', `${at}.principals`, source.principals)
    add('principal', `${at}.notPrincipals`, source.notPrincipals)
    add('namespace', `${at}.namespaces`, source.namespaces)
    add('namespace', `${at}.notNamespaces`, source.notNamespaces)
    add('serviceAccount', `${at}.serviceAccounts`, source.serviceAccounts)
    add('serviceAccount', `${at}.notServiceAccounts`, source.notServiceAccounts)
  }
  for (const [index, { key, values, notValues }] of (when ?? []).entries()) {
    const kind = CONDITIONS.get(key)
    if (kind === undefined) continue
    add(kind, `when[${index}].values`, values)
    add(kind, `when[${index}].notValues`, notValues)
  }
  return found
}

const CONDITIONS: ReadonlyMap<string, Named['kind']> = new Map([
  ['source.principal', 'principal'],
  ['source.namespace', 'namespace'],
])

function principalProblem(value: string, known: KnownAccounts): string | undefined {
  if (value.startsWith('spiffe://')) return 'never matches: a principal is written without "spiffe://"'
  const wild = value.includes('*')
  if (!wild && !PRINCIPAL.test(value)) {
    return 'never matches: expected TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT'
  }
  // Who there is in a mesh that this one trusts, no file here says.
  const ofMesh = known.trustDomains.some((trustDomain) => value.startsWith(`${trustDomain}/`))
  const foreign = !value.startsWith('*') && !ofMesh && value.includes('/')
  if (foreign || some(value, known.principals)) return undefined
  return wild
    ? `no service account has a principal ${quoted(value)}`
    : `there is no service account of this name`
}

const PRINCIPAL = /^[^/]+\/ns\/[^/]+\/sa\/[^/]+$/

/** As policies match text: `*` anything, `*x` ends in x, `x*` begins with x, else exactly this. */
function some(pattern: string, names: ReadonlySet<string>): boolean {
  if (pattern === '*') return true
  if (pattern.startsWith('*')) return [...names].some((name) => name.endsWith(pattern.slice(1)))
  if (pattern.endsWith('*')) return [...names].some((name) => name.startsWith(pattern.slice(0, -1)))
  return names.has(pattern)
}

function quoted(pattern: string): string {
  return pattern.includes('*') ? `that matches "${pattern}"` : pattern
}
