import t from 'tap'
import { authorize } from './authorize.ts'
import type { AuthorizationPolicy, StringMatch } from './model.ts'
import { aMatch, aPolicy } from './test-support.ts'
import type { PolicyContext } from './verdict.ts'

const identity = { trustDomain: 'td', namespace: 'from', serviceAccount: 'acct' }
const mtls: PolicyContext = {
  sourceIdentity: identity,
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.0.0.2',
  destinationPort: 8080,
}

const exact = (value: string): StringMatch => ({ kind: 'exact', value })
const prefix = (value: string): StringMatch => ({ kind: 'prefix', value })
const suffix = (value: string): StringMatch => ({ kind: 'suffix', value })
const presence: StringMatch = { kind: 'presence' }

const allow = (rules: AuthorizationPolicy['rules'], name = 'allow'): AuthorizationPolicy =>
  aPolicy({ name, rules })
const deny = (rules: AuthorizationPolicy['rules'], name = 'deny'): AuthorizationPolicy =>
  aPolicy({ name, action: 'DENY', rules })
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

t.test(
  '8.3 order among kinds: dry-run DENY, DENY, dry-run ALLOW, ALLOW, whatever the order given',
  async (t) => {
    const all = [
      allow([], 'allow'),
      { ...allow([], 'dry-allow'), dryRun: true },
      deny([], 'deny'),
      { ...deny([], 'dry-deny'), dryRun: true },
    ]
    const order = ['dry-deny', 'deny', 'dry-allow', 'allow']
    for (const given of [all, all.toReversed()]) {
      const names = authorize(given, mtls)
        .tree()
        .map(({ policy }) => policy)
      t.same(
        names,
        order.map((name) => `default/${name}`),
      )
    }
  },
)

t.test('a denial names those that could have allowed, bounded', async (t) => {
  const dry = { ...allow([], 'dry'), dryRun: true }
  const denied = authorize([allow([], 'one'), dry, deny([]), allow([], 'two')], mtls)
  t.same(denied.unmatched, { names: ['default/one', 'default/two'], total: 2 })
  const many = Array.from({ length: 100 }, (_, i) => allow([], `p${i}`))
  t.match(authorize(many, mtls).unmatched, { names: { length: 5 }, total: 100 })
  t.equal(authorize([allow(always)], mtls).unmatched, undefined)
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
