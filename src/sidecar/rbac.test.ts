import fc from 'fast-check'
import t from 'tap'
import {
  type AuthorizationPolicy,
  authorize,
  cidrContains,
  formatHostPort,
  type Identity,
  identityUri,
  type PolicyContext,
  type PolicyMatch,
  parseAddress,
  parseCidr,
  type StringMatch,
} from '../mesh/index.ts'
import { aMatch, aPolicy } from '../mesh/test-support.ts'
import { SidecarError } from './errors.ts'
import { MAX_ALTERNATIVES, policyFilters } from './rbac.ts'

/** RBAC of Envoy, as config/rbac/v3 describes it, of what policies become. */
interface Rule {
  readonly any?: true
  readonly and_rules?: { readonly rules: readonly Rule[] }
  readonly or_rules?: { readonly rules: readonly Rule[] }
  readonly not_rule?: Rule
  readonly and_ids?: { readonly ids: readonly Rule[] }
  readonly or_ids?: { readonly ids: readonly Rule[] }
  readonly not_id?: Rule
  readonly destination_port?: number
  readonly destination_ip?: Block
  readonly direct_remote_ip?: Block
  readonly header?: { readonly string_match: Match }
  readonly authenticated?: { readonly principal_name: Match }
}
interface Block {
  readonly address_prefix: string
  readonly prefix_len: number
}
interface Match {
  readonly exact?: string
  readonly prefix?: string
  readonly suffix?: string
  readonly safe_regex?: { readonly regex: string }
}
interface Filter {
  readonly typed_config: {
    readonly rules: {
      readonly action: 'ALLOW' | 'DENY'
      readonly policies: Readonly<
        Record<string, { readonly permissions: readonly Rule[]; readonly principals: readonly Rule[] }>
      >
    }
  }
}

function holds(rule: Rule, context: PolicyContext): boolean {
  const every = rule.and_rules?.rules ?? rule.and_ids?.ids
  const some = rule.or_rules?.rules ?? rule.or_ids?.ids
  const not = rule.not_rule ?? rule.not_id
  if (every !== undefined) return every.every((one) => holds(one, context))
  if (some !== undefined) return some.some((one) => holds(one, context))
  if (not !== undefined) return !holds(not, context)
  if (rule.any === true) return true
  if (rule.destination_port !== undefined) return rule.destination_port === context.destinationPort
  if (rule.destination_ip !== undefined) return within(rule.destination_ip, context.destinationAddress)
  if (rule.direct_remote_ip !== undefined) return within(rule.direct_remote_ip, context.sourceAddress)
  const { destinationAddress, destinationPort } = context
  if (rule.header !== undefined) {
    return says(rule.header.string_match, formatHostPort(destinationAddress, destinationPort))
  }
  const match = rule.authenticated?.principal_name
  if (match === undefined) throw new Error(`not known: ${JSON.stringify(rule)}`)
  // Without a certificate no matcher of it holds.
  return context.sourceIdentity !== undefined && says(match, identityUri(context.sourceIdentity))
}

function says({ exact, prefix, suffix, safe_regex }: Match, uri: string): boolean {
  if (exact !== undefined) return uri === exact
  if (prefix !== undefined) return uri.startsWith(prefix)
  if (suffix !== undefined) return uri.endsWith(suffix)
  return new RegExp(`^(?:${safe_regex?.regex})$`).test(uri)
}

function within({ address_prefix, prefix_len }: Block, address: string): boolean {
  const [block, words] = [parseCidr(`${address_prefix}/${prefix_len}`), parseAddress(address)]
  return block !== undefined && words !== undefined && cidrContains(block, words)
}

function passes(filters: readonly Filter[], context: PolicyContext): boolean {
  return filters.every(({ typed_config: { rules } }) => {
    const matched = Object.values(rules.policies).some(
      ({ permissions, principals }) =>
        permissions.some((rule) => holds(rule, context)) && principals.some((rule) => holds(rule, context)),
    )
    return matched === (rules.action === 'ALLOW')
  })
}

const NAMESPACES = ['app', 'apple', 'my.app', ''] as const
const ACCOUNTS = ['web', 'web-2'] as const
const SOURCES = ['10.0.0.1', '10.0.1.1', 'fd00::1'] as const
const identity = fc.record({
  trustDomain: fc.constantFrom('cluster.local', 'other.org'),
  namespace: fc.constantFrom('app', 'apple', 'my.app', 'myxapp'),
  serviceAccount: fc.constantFrom(...ACCOUNTS),
})
const context: fc.Arbitrary<PolicyContext> = fc.record({
  sourceIdentity: fc.option(identity as fc.Arbitrary<Identity>, { nil: undefined }),
  sourceAddress: fc.constantFrom(...SOURCES),
  destinationAddress: fc.constantFrom('10.0.0.9', 'fd00::9'),
  destinationPort: fc.constantFrom(80, 81),
})
const text = (values: readonly string[]): fc.Arbitrary<StringMatch> =>
  fc.oneof(
    fc.record({ kind: fc.constantFrom('exact', 'prefix', 'suffix'), value: fc.constantFrom(...values) }),
    fc.constant({ kind: 'presence' } as const),
  )
const few = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant<T[]>([]) },
    { weight: 1, arbitrary: fc.array(one, { maxLength: 2 }) },
  )
const principals = text(['cluster.local/ns/app/sa/web', 'cluster.local/ns/app', '/sa/web', 'other.org'])
const account = fc.record({
  namespace: fc.constantFrom('app', 'my.app'),
  serviceAccount: fc.constantFrom(...ACCOUNTS),
})
const block = fc.constantFrom('10.0.0.0/24', '10.0.0.1', '10.0.0.9/32', 'fd00::/64', '0.0.0.0/0')
const port = fc.constantFrom(80, 81)
const match: fc.Arbitrary<PolicyMatch> = fc
  .record({
    namespaces: few(text(NAMESPACES)),
    notNamespaces: few(text(NAMESPACES)),
    principals: few(principals),
    notPrincipals: few(principals),
    serviceAccounts: few(account),
    notServiceAccounts: few(account),
    sourceIps: few(block),
    notSourceIps: few(block),
    destinationIps: few(block),
    notDestinationIps: few(block),
    destinationPorts: few(port),
    notDestinationPorts: few(port),
  })
  .map((fields) => aMatch(fields))
const policies: fc.Arbitrary<AuthorizationPolicy[]> = fc
  .array(
    fc.record({
      action: fc.constantFrom('ALLOW', 'DENY'),
      dryRun: fc.boolean(),
      rules: fc.array(fc.array(fc.array(match, { maxLength: 2 }), { maxLength: 2 }), { maxLength: 2 }),
    }),
    { maxLength: 3 },
  )
  .map((list) => list.map((fields, index) => aPolicy({ ...fields, name: `policy-${index}` })))

const ON_TUNNELS = { kind: 'tunnel', addresses: ['10.0.0.9', 'fd00::9'] } as const

t.test('Envoy’s filters let pass what our own verdict does', async (t) => {
  for (const on of [ON_TUNNELS, { kind: 'connection' } as const]) {
    fc.assert(
      fc.property(policies, fc.array(context, { minLength: 1, maxLength: 8 }), (list, contexts) => {
        const filters = policyFilters(list, on, 'test') as unknown as readonly Filter[]
        for (const each of contexts) {
          const { allowed } = authorize(list, each)
          if (passes(filters, each) !== allowed) throw new Error(`ours: ${allowed} ${JSON.stringify(each)}`)
        }
      }),
      { numRuns: 1000 },
    )
  }
  t.pass()
})

t.test('what Envoy would be given too much of is refused, with its name', async (t) => {
  const clause = Array.from({ length: 11 }, (_, index) => aMatch({ destinationPorts: [index + 1] }))
  const rules = [[clause, clause, clause]]
  t.ok(clause.length ** 3 > MAX_ALTERNATIVES)
  t.throws(() => policyFilters([aPolicy({ name: 'huge', rules })], ON_TUNNELS, 'test'), {
    name: SidecarError.name,
    code: 'policy-too-large',
    message: /default\/huge/,
  })
})
