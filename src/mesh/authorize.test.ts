import fc from 'fast-check'
import t from 'tap'
import { authorize } from './authorize.ts'
import { CompiledPolicy } from './compiled-policy.ts'
import type { AuthorizationPolicy, PolicyMatch, StringMatch } from './model.ts'
import { aMatch, aPolicy } from './test-support.ts'
import type { PolicyContext, PolicyResult } from './verdict.ts'

const identity = { trustDomain: 'td', namespace: 'from', serviceAccount: 'acct' }
const mtls: PolicyContext = {
  sourceIdentity: identity,
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.0.0.2',
  destinationPort: 8080,
}
const plaintext: PolicyContext = { ...mtls, sourceIdentity: undefined }

const exact = (value: string): StringMatch => ({ kind: 'exact', value })
const prefix = (value: string): StringMatch => ({ kind: 'prefix', value })
const suffix = (value: string): StringMatch => ({ kind: 'suffix', value })
const presence: StringMatch = { kind: 'presence' }

const allow = (rules: AuthorizationPolicy['rules'], name = 'allow'): AuthorizationPolicy =>
  aPolicy({ name, rules })
const deny = (rules: AuthorizationPolicy['rules'], name = 'deny'): AuthorizationPolicy =>
  aPolicy({ name, action: 'DENY', rules })
const matches = (match: Partial<PolicyMatch>, context: PolicyContext): boolean =>
  authorize([allow([[[aMatch(match)]]])], context).allowed
const always: AuthorizationPolicy['rules'] = [[]]

t.test('8.3 order of evaluation', async (t) => {
  const cases: readonly {
    name: string
    policies: readonly AuthorizationPolicy[]
    reason: string
    policy?: string
    message: string
  }[] = [
    { name: 'no policy', policies: [], reason: 'no-allow-policies', message: 'no allow policies, allow' },
    {
      name: 'a DENY that does not match',
      policies: [deny([])],
      reason: 'no-allow-policies',
      message: 'no allow policies, allow',
    },
    {
      name: 'DENY before ALLOW, in whatever order they come',
      policies: [allow(always), deny(always)],
      reason: 'explicitly-denied',
      policy: 'default/deny',
      message: 'explicitly denied by: default/deny',
    },
    {
      name: 'the first DENY that matches is named',
      policies: [deny([], 'one'), deny(always, 'two'), deny(always, 'three')],
      reason: 'explicitly-denied',
      policy: 'default/two',
      message: 'explicitly denied by: default/two',
    },
    {
      name: 'any ALLOW that matches',
      policies: [allow([], 'one'), allow(always, 'two')],
      reason: 'explicitly-allowed',
      policy: 'default/two',
      message: 'explicitly allowed by: default/two',
    },
    {
      name: 'ALLOW policies and none matches',
      policies: [allow([])],
      reason: 'allow-policies-but-none-matched',
      message: 'allow policies exist, but none allowed',
    },
    {
      name: 'a dry-run ALLOW does not switch on the default of denying',
      policies: [{ ...allow([]), dryRun: true }],
      reason: 'no-allow-policies',
      message: 'no allow policies, allow',
    },
    {
      name: 'a dry-run DENY does not deny',
      policies: [{ ...deny(always), dryRun: true }],
      reason: 'no-allow-policies',
      message: 'no allow policies, allow',
    },
    {
      name: 'a dry-run ALLOW does not allow',
      policies: [{ ...allow(always), dryRun: true }, allow([], 'real')],
      reason: 'allow-policies-but-none-matched',
      message: 'allow policies exist, but none allowed',
    },
  ]
  for (const { name, policies, reason, policy, message } of cases) {
    const verdict = authorize(policies, mtls)
    t.equal(verdict.reason, reason, name)
    t.equal(verdict.policy, policy, name)
    t.equal(verdict.message, message, name)
    t.equal(verdict.allowed, reason === 'no-allow-policies' || reason === 'explicitly-allowed', name)
  }
})

t.test('8.3 dry-run results that led up to the decision are reported', async (t) => {
  const dryDeny = { ...deny(always, 'dry-deny'), dryRun: true }
  const dryAllow = { ...allow([], 'dry-allow'), dryRun: true }
  const denyResult = { policy: 'default/dry-deny', action: 'DENY', matched: true }
  const allowResult = { policy: 'default/dry-allow', action: 'ALLOW', matched: false }
  t.same(authorize([allow(always), dryAllow, dryDeny], mtls).dryRun, [denyResult, allowResult])
  t.same(authorize([dryAllow, deny(always), dryDeny], mtls).dryRun, [denyResult])
  t.equal(authorize([allow(always)], mtls).dryRun, undefined)
})

t.test('8.4 empty forms (surprise 10)', async (t) => {
  t.equal(authorize([allow([])], mtls).allowed, false, 'no rules never match')
  t.equal(authorize([allow([[]])], mtls).allowed, true, 'a rule without clauses matches')
  t.equal(authorize([allow([[[]]])], mtls).allowed, true, 'a clause without matches matches')
  t.equal(authorize([allow([[[aMatch()]]])], mtls).allowed, false, 'a match without fields does not')
  const byPort = aMatch({ destinationPorts: [8080] })
  t.equal(
    authorize([allow([[[aMatch(), byPort]]])], mtls).allowed,
    true,
    'an empty match beside one that hits',
  )
  t.equal(authorize([allow([[[byPort], [aMatch()]]])], mtls).allowed, false, 'clauses are joined by AND')
  t.equal(authorize([allow([[[aMatch()]], [[byPort]]])], mtls).allowed, true, 'rules are joined by OR')
})

t.test('8.4 positive and negative lists of one kind', async (t) => {
  t.ok(matches({ destinationPorts: [80, 8080] }, mtls))
  t.notOk(matches({ destinationPorts: [80] }, mtls))
  t.ok(matches({ notDestinationPorts: [80] }, mtls))
  t.notOk(matches({ notDestinationPorts: [8080] }, mtls))
  t.notOk(matches({ destinationPorts: [8080], notDestinationPorts: [8080] }, mtls))
  t.notOk(matches({ destinationPorts: [8080], sourceIps: ['11.0.0.0/8'] }, mtls), 'kinds are joined by AND')
})

t.test('8.5 fields', async (t) => {
  t.ok(matches({ sourceIps: ['10.0.0.0/31'] }, mtls))
  t.notOk(matches({ sourceIps: ['10.0.0.2/31'] }, mtls))
  t.ok(matches({ destinationIps: ['10.0.0.2/32'] }, mtls))
  t.notOk(matches({ notDestinationIps: ['10.0.0.0/8'] }, mtls))
  t.ok(matches({ principals: [exact('td/ns/from/sa/acct')] }, mtls))
  t.notOk(matches({ principals: [exact('spiffe://td/ns/from/sa/acct')] }, mtls), 'compared without spiffe://')
  t.notOk(matches({ principals: [exact('other/ns/from/sa/acct')] }, mtls), '8.10 no trust-domain aliases')
  t.ok(matches({ serviceAccounts: [{ namespace: 'from', serviceAccount: 'acct' }] }, mtls))
  t.notOk(matches({ serviceAccounts: [{ namespace: 'x', serviceAccount: 'acct' }] }, mtls))
  t.ok(matches({ namespaces: [exact('from')] }, mtls))
})

t.test('8.5, 8.6 plaintext (surprise 11)', async (t) => {
  t.notOk(matches({ principals: [presence] }, plaintext))
  t.notOk(matches({ principals: [prefix('')] }, plaintext))
  t.notOk(matches({ serviceAccounts: [{ namespace: '', serviceAccount: '' }] }, plaintext))
  t.ok(matches({ namespaces: [exact('')] }, plaintext), 'the namespace is compared as ""')
  t.ok(matches({ namespaces: [prefix('')] }, plaintext))
  t.notOk(matches({ namespaces: [presence] }, plaintext))
  t.ok(matches({ notPrincipals: [presence] }, plaintext))
  t.ok(matches({ notServiceAccounts: [{ namespace: 'from', serviceAccount: 'acct' }] }, plaintext))
  t.ok(matches({ notNamespaces: [exact('from')] }, plaintext))
  const strict = deny([[[aMatch({ notPrincipals: [presence] })]]])
  t.equal(authorize([strict], plaintext).allowed, false, 'istio 1.9: STRICT denies whoever proves nothing')
  t.equal(authorize([strict], mtls).allowed, true)
})

t.test('8.7 string matches', async (t) => {
  t.ok(matches({ namespaces: [prefix('fr')] }, mtls))
  t.notOk(matches({ namespaces: [prefix('rom')] }, mtls))
  t.ok(matches({ namespaces: [suffix('rom')] }, mtls))
  t.notOk(matches({ namespaces: [suffix('fro')] }, mtls))
  t.ok(matches({ namespaces: [presence] }, mtls))
  t.notOk(matches({ namespaces: [exact('fro')] }, mtls))
})

t.test('8.8 blocks that cannot be read are dropped, families never cross', async (t) => {
  t.notOk(matches({ sourceIps: ['nonsense'] }, mtls), 'nothing left: an empty match')
  t.notOk(matches({ notSourceIps: ['10.0.0.0/99'] }, mtls), 'nothing left: an empty match')
  t.ok(matches({ sourceIps: ['nonsense', '10.9.9.9/8'] }, mtls), 'host bits are tolerated')
  t.notOk(matches({ sourceIps: ['::/0'] }, mtls))
  t.ok(matches({ sourceIps: ['fd00::/8'] }, { ...mtls, sourceAddress: 'fd00::1' }))
})

t.test('the tree has every policy in the order of evaluation, down to each list', async (t) => {
  const partly = aMatch({
    principals: [exact('td/ns/from/sa/acct'), prefix('a'), suffix('b'), presence],
    notSourceIps: ['10.0.0.1/8'],
  })
  const verdict = authorize([allow([[[partly, aMatch()]]]), deny([])], mtls)
  t.same(verdict.tree(), [
    { policy: 'default/deny', action: 'DENY', dryRun: false, matched: false, rules: [] },
    {
      policy: 'default/allow',
      action: 'ALLOW',
      dryRun: false,
      matched: false,
      rules: [
        {
          matched: false,
          clauses: [
            {
              matched: false,
              matches: [
                {
                  matched: false,
                  empty: false,
                  fields: [
                    {
                      field: 'principals',
                      matched: true,
                      actual: 'td/ns/from/sa/acct',
                      expected: ['td/ns/from/sa/acct', 'a*', '*b', '*'],
                    },
                    { field: 'notSourceIps', matched: false, actual: '10.0.0.1', expected: ['10.0.0.0/8'] },
                  ],
                },
                { matched: false, empty: true, fields: [] },
              ],
            },
          ],
        },
      ],
    },
  ])
})

// Few values, so that they hit often.
const text = fc.constantFrom('', 'a', 'ab', 'b', 'td/ns/a/sa/b')
const stringMatch: fc.Arbitrary<StringMatch> = fc.oneof(
  fc.record({ kind: fc.constantFrom('exact' as const, 'prefix' as const, 'suffix' as const), value: text }),
  fc.constant(presence),
)
const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 2 })
const account = fc.record({ namespace: text, serviceAccount: text })
const ip = fc.constantFrom('10.0.0.1/32', '10.0.0.0/30', '11.0.0.0/8', '::/0', 'bad')
const port = fc.constantFrom(80, 8080)
const match = fc.record({
  namespaces: list(stringMatch),
  notNamespaces: list(stringMatch),
  principals: list(stringMatch),
  notPrincipals: list(stringMatch),
  serviceAccounts: list(account),
  notServiceAccounts: list(account),
  sourceIps: list(ip),
  notSourceIps: list(ip),
  destinationIps: list(ip),
  notDestinationIps: list(ip),
  destinationPorts: list(port),
  notDestinationPorts: list(port),
})
const sparseMatch = fc
  .tuple(match, fc.subarray(Object.keys(aMatch()) as (keyof PolicyMatch)[], { maxLength: 2 }))
  .map(([full, keep]) => aMatch(Object.fromEntries(keep.map((key) => [key, full[key]]))))
const policy = fc
  .record({
    action: fc.constantFrom('ALLOW' as const, 'DENY' as const),
    dryRun: fc.boolean(),
    rules: list(list(list(sparseMatch))),
  })
  .map((parts) => aPolicy(parts))
const policies = fc
  .array(policy, { maxLength: 4 })
  .map((all) => all.map((one, i) => ({ ...one, name: `p${i}` })))
const context: fc.Arbitrary<PolicyContext> = fc.record({
  sourceIdentity: fc.option(
    fc.record({ trustDomain: fc.constant('td'), namespace: text, serviceAccount: text }),
    {
      nil: undefined,
    },
  ),
  sourceAddress: fc.constantFrom('10.0.0.1', '10.0.0.2', '11.0.0.1', 'fd00::1'),
  destinationAddress: fc.constantFrom('10.0.0.1', 'fd00::2'),
  destinationPort: port,
})

t.test('the fast path says what the tree says, compiled or not', async (t) => {
  fc.assert(
    fc.property(policies, context, (given, context) => {
      const verdict = authorize(given, context)
      const compiled = authorize(given.map(CompiledPolicy.of), context)
      const byTree = readTree(verdict.tree())
      t.equal(verdict.allowed, byTree.allowed)
      t.equal(verdict.policy, byTree.policy)
      t.same({ ...compiled, tree: compiled.tree() }, { ...verdict, tree: verdict.tree() })
      return verdict.allowed === byTree.allowed && verdict.policy === byTree.policy
    }),
    { numRuns: 300 },
  )
})

/** 8.3, read off the leaves of the tree alone. */
function readTree(results: readonly PolicyResult[]): { allowed: boolean; policy: string | undefined } {
  const holds = ({ rules }: PolicyResult): boolean =>
    rules.some(({ clauses }) =>
      clauses.every(
        ({ matches }) =>
          matches.length === 0 ||
          matches.some(({ fields }) => fields.length > 0 && fields.every(({ matched }) => matched)),
      ),
    )
  const enforced = results.filter(({ dryRun }) => !dryRun)
  const denies = enforced.find((result) => result.action === 'DENY' && holds(result))
  if (denies !== undefined) return { allowed: false, policy: denies.policy }
  const allows = enforced.filter(({ action }) => action === 'ALLOW')
  const hit = allows.find(holds)
  return { allowed: allows.length === 0 || hit !== undefined, policy: hit?.policy }
}
