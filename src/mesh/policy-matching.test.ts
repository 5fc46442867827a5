import t from 'tap'
import { authorize } from './authorize.ts'
import type { PolicyMatch, ServiceAccountMatch, StringMatch } from './model.ts'
import { aMatch, aPolicy } from './test-support.ts'
import type { PolicyContext } from './verdict.ts'

// One row for each thing that wire/ztunnel 8.4 to 8.10 say of a match. The
// first column is the item there.

const MTLS: PolicyContext = {
  sourceIdentity: { trustDomain: 'td', namespace: 'from', serviceAccount: 'acct' },
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.0.0.2',
  destinationPort: 8080,
}
const PLAIN: PolicyContext = { ...MTLS, sourceIdentity: undefined }
const V6: PolicyContext = { ...MTLS, sourceAddress: 'fd00::1', destinationAddress: 'fd00::2' }
const MAPPED: PolicyContext = { ...MTLS, sourceAddress: '::ffff:10.0.0.1' }

const exact = (value: string): StringMatch => ({ kind: 'exact', value })
const prefix = (value: string): StringMatch => ({ kind: 'prefix', value })
const suffix = (value: string): StringMatch => ({ kind: 'suffix', value })
const presence: StringMatch = { kind: 'presence' }
const account = (namespace: string, serviceAccount: string): ServiceAccountMatch => ({
  namespace,
  serviceAccount,
})
const OWN = 'td/ns/from/sa/acct'

type Row = readonly [item: string, Partial<PolicyMatch>, PolicyContext, matched: boolean, why: string]

const PORTS: readonly Row[] = [
  ['8.5', { destinationPorts: [8080] }, MTLS, true, 'the port'],
  ['8.5', { destinationPorts: [80, 8080] }, MTLS, true, 'any of a list'],
  ['8.5', { destinationPorts: [80] }, MTLS, false, 'another port'],
  ['8.5', { notDestinationPorts: [80] }, MTLS, true, 'not another port'],
  ['8.5', { notDestinationPorts: [8080] }, MTLS, false, 'not the port'],
  ['8.5', { notDestinationPorts: [80, 8080] }, MTLS, false, 'any of a negative list rules it out'],
  ['8.4', { destinationPorts: [8080], notDestinationPorts: [8080] }, MTLS, false, 'the negative list wins'],
  ['8.4', { destinationPorts: [8080], notDestinationPorts: [80] }, MTLS, true, 'both lists hold'],
  ['8.5', { destinationPorts: [0] }, { ...MTLS, destinationPort: 0 }, true, 'a number like any other'],
  ['8.5', { destinationPorts: [65_535] }, { ...MTLS, destinationPort: 65_535 }, true, 'the last port'],
]

const ADDRESSES: readonly Row[] = [
  ['8.5', { sourceIps: ['10.0.0.1/32'] }, MTLS, true, 'a block of one'],
  ['8.5', { sourceIps: ['10.0.0.1'] }, MTLS, true, 'an address is a block of one'],
  ['8.5', { sourceIps: ['10.0.0.0/31'] }, MTLS, true, 'inside'],
  ['8.5', { sourceIps: ['10.0.0.2/31'] }, MTLS, false, 'just outside'],
  ['8.5', { sourceIps: ['0.0.0.0/0'] }, MTLS, true, 'all of IPv4'],
  ['8.5', { sourceIps: ['128.0.0.0/1'] }, { ...MTLS, sourceAddress: '255.255.255.255' }, true, 'the top bit'],
  ['8.5', { sourceIps: ['11.0.0.0/8', '10.0.0.0/8'] }, MTLS, true, 'any of a list'],
  ['8.5', { notSourceIps: ['10.0.0.0/8'] }, MTLS, false, 'not inside'],
  ['8.5', { notSourceIps: ['11.0.0.0/8'] }, MTLS, true, 'not outside'],
  ['8.5', { notSourceIps: ['11.0.0.0/8', '10.0.0.1/32'] }, MTLS, false, 'any of a negative list'],
  ['8.4', { sourceIps: ['10.0.0.0/8'], notSourceIps: ['10.0.0.1/32'] }, MTLS, false, 'all but one'],
  ['8.5', { destinationIps: ['10.0.0.2/32'] }, MTLS, true, 'of the destination'],
  ['8.5', { destinationIps: ['10.0.0.1/32'] }, MTLS, false, 'and not of the source'],
  ['8.5', { notDestinationIps: ['10.0.0.2/32'] }, MTLS, false, 'not of the destination'],
  ['8.5', { notDestinationIps: ['10.0.0.1/32'] }, MTLS, true, 'not of the source'],
  ['8.8', { sourceIps: ['fd00::/8'] }, V6, true, 'IPv6, inside'],
  ['8.8', { sourceIps: ['fd00::1/128'] }, V6, true, 'IPv6, a block of one'],
  ['8.8', { sourceIps: ['fd00::2/127'] }, V6, false, 'IPv6, just outside'],
  ['8.8', { sourceIps: ['fd00:0:0:0:1::/65'] }, V6, true, 'IPv6, in the middle of a word'],
  ['8.8', { sourceIps: ['::/0'] }, V6, true, 'all of IPv6'],
  ['8.8', { sourceIps: ['::/0'] }, MTLS, false, 'which is none of IPv4'],
  ['8.8', { sourceIps: ['0.0.0.0/0'] }, V6, false, 'nor the other way round'],
  ['8.8', { notSourceIps: ['::/0'] }, MTLS, true, 'a negative list of the other family rules nothing out'],
  ['8.8', { destinationIps: ['fd00::2/128'] }, V6, true, 'IPv6 destination'],
  ['8.8', { sourceIps: ['10.0.0.0/8'] }, MAPPED, true, 'an IPv4-mapped address is IPv4'],
  ['8.8', { sourceIps: ['::ffff:0:0/96'] }, MAPPED, false, 'a mapped block is IPv6, and matches nothing'],
  ['8.8', { sourceIps: ['10.9.9.9/8'] }, MTLS, true, 'host bits are tolerated'],
  ['8.8', { sourceIps: ['fd00::9:9/16'] }, V6, true, 'in IPv6 as well'],
  ['8.8', { sourceIps: ['nonsense', '10.0.0.0/8'] }, MTLS, true, 'what is no block is dropped'],
  ['8.8', { sourceIps: ['nonsense'] }, MTLS, false, 'which may leave the match empty'],
  ['8.8', { sourceIps: ['10.0.0.0/33'] }, MTLS, false, 'a length beyond the address'],
  ['8.8', { notSourceIps: ['10.0.0.0/99'] }, MTLS, false, 'a negative list may be left empty, too'],
  ['8.8', { sourceIps: ['x'], destinationPorts: [8080] }, MTLS, true, 'or the match wider than it was'],
]

const PRINCIPALS: readonly Row[] = [
  ['8.5', { principals: [exact(OWN)] }, MTLS, true, 'td/ns/NS/sa/SA'],
  ['8.5', { principals: [exact(`spiffe://${OWN}`)] }, MTLS, false, 'never with spiffe://'],
  ['8.5', { principals: [prefix('spiffe://')] }, MTLS, false, 'nor as a prefix'],
  ['8.10', { principals: [exact('alias/ns/from/sa/acct')] }, MTLS, false, 'no trust-domain aliases'],
  ['8.10', { principals: [exact('cluster.local/ns/from/sa/acct')] }, MTLS, false, 'not that one either'],
  ['8.7', { principals: [prefix('td/ns/from/')] }, MTLS, true, 'prefix'],
  ['8.7', { principals: [prefix('ns/from/')] }, MTLS, false, 'prefix of the whole'],
  ['8.7', { principals: [suffix('/sa/acct')] }, MTLS, true, 'suffix'],
  ['8.7', { principals: [suffix('/sa/acc')] }, MTLS, false, 'suffix of the whole'],
  ['8.7', { principals: [prefix('')] }, MTLS, true, 'an empty prefix fits all that is proven'],
  ['8.7', { principals: [suffix('')] }, MTLS, true, 'an empty suffix likewise'],
  ['8.7', { principals: [presence] }, MTLS, true, 'presence'],
  ['8.5', { principals: [presence] }, PLAIN, false, 'presence without an identity'],
  ['8.5', { principals: [prefix('')] }, PLAIN, false, 'not even an empty prefix'],
  ['8.5', { principals: [exact('')] }, PLAIN, false, 'nor the empty text'],
  ['8.5', { principals: [exact('x'), exact(OWN)] }, MTLS, true, 'any of a list'],
  ['8.5', { notPrincipals: [exact(OWN)] }, MTLS, false, 'not this one'],
  ['8.5', { notPrincipals: [exact('x')] }, MTLS, true, 'not another'],
  ['8.7', { notPrincipals: [suffix('/sa/acct')] }, MTLS, false, 'not by suffix'],
  ['8.7', { notPrincipals: [presence] }, MTLS, false, 'whoever has none'],
  ['8.6', { notPrincipals: [presence] }, PLAIN, true, 'plaintext passes a negative list'],
  ['8.6', { notPrincipals: [exact(OWN)] }, PLAIN, true, 'whatever is in it'],
  ['8.6', { principals: [presence], notPrincipals: [exact('x')] }, PLAIN, false, 'and not a positive one'],
]

const ACCOUNTS: readonly Row[] = [
  ['8.5', { serviceAccounts: [account('from', 'acct')] }, MTLS, true, 'namespace and account'],
  ['8.5', { serviceAccounts: [account('x', 'acct')] }, MTLS, false, 'another namespace'],
  ['8.5', { serviceAccounts: [account('from', 'x')] }, MTLS, false, 'another account'],
  ['8.5', { serviceAccounts: [account('x', 'y'), account('from', 'acct')] }, MTLS, true, 'any of a list'],
  [
    '8.5',
    { serviceAccounts: [account('from', 'acct')] },
    { ...MTLS, sourceIdentity: { trustDomain: 'x', namespace: 'from', serviceAccount: 'acct' } },
    true,
    'of any trust domain',
  ],
  ['8.5', { serviceAccounts: [account('from', '')] }, MTLS, false, 'no wildcards: an empty account is none'],
  ['8.5', { serviceAccounts: [account('', '')] }, PLAIN, false, 'nobody has no account'],
  ['8.5', { notServiceAccounts: [account('from', 'acct')] }, MTLS, false, 'not this one'],
  ['8.5', { notServiceAccounts: [account('from', 'x')] }, MTLS, true, 'not another'],
  ['8.6', { notServiceAccounts: [account('from', 'acct')] }, PLAIN, true, 'plaintext passes a negative list'],
  ['8.6', { notServiceAccounts: [account('', '')] }, PLAIN, true, 'even one of nobody'],
]

const NAMESPACES: readonly Row[] = [
  ['8.5', { namespaces: [exact('from')] }, MTLS, true, 'the namespace'],
  ['8.5', { namespaces: [exact('fro')] }, MTLS, false, 'exact is exact'],
  ['8.7', { namespaces: [exact('From')] }, MTLS, false, 'and so are capitals'],
  ['8.7', { namespaces: [prefix('fr')] }, MTLS, true, 'prefix'],
  ['8.7', { namespaces: [prefix('rom')] }, MTLS, false, 'no prefix'],
  ['8.7', { namespaces: [suffix('rom')] }, MTLS, true, 'suffix'],
  ['8.7', { namespaces: [suffix('fro')] }, MTLS, false, 'no suffix'],
  ['8.7', { namespaces: [presence] }, MTLS, true, 'presence'],
  ['8.5', { notNamespaces: [exact('from')] }, MTLS, false, 'not this one'],
  ['8.5', { notNamespaces: [exact('x')] }, MTLS, true, 'not another'],
  ['8.7', { notNamespaces: [prefix('fr')] }, MTLS, false, 'not by prefix'],
  ['8.7', { notNamespaces: [presence] }, MTLS, false, 'whoever has none'],
  ['8.5', { namespaces: [presence] }, PLAIN, false, 'presence is text that is not empty'],
  ['8.5', { namespaces: [exact('from')] }, PLAIN, false, 'without an identity, not this one'],
  ['8.5', { namespaces: [exact('')] }, PLAIN, true, 'without an identity it is the empty text'],
  ['8.5', { namespaces: [prefix('')] }, PLAIN, true, 'an empty prefix of it'],
  ['8.5', { namespaces: [suffix('')] }, PLAIN, true, 'an empty suffix of it'],
  ['8.6', { notNamespaces: [exact('from')] }, PLAIN, true, 'plaintext passes a negative list'],
  ['8.6', { notNamespaces: [presence] }, PLAIN, true, 'of presence, too'],
  ['8.6', { notNamespaces: [exact('')] }, PLAIN, false, 'unless it rules out the empty text'],
]

const KINDS: readonly Row[] = [
  ['8.4', {}, MTLS, false, 'a match without any list'],
  ['8.4', { destinationPorts: [8080], sourceIps: ['10.0.0.0/8'] }, MTLS, true, 'kinds are joined by AND'],
  ['8.4', { destinationPorts: [8080], sourceIps: ['11.0.0.0/8'] }, MTLS, false, 'all of them'],
  [
    '8.4',
    {
      namespaces: [exact('from')],
      principals: [exact(OWN)],
      serviceAccounts: [account('from', 'acct')],
      sourceIps: ['10.0.0.0/8'],
      destinationIps: ['10.0.0.0/8'],
      destinationPorts: [8080],
      notNamespaces: [exact('x')],
      notPrincipals: [exact('x')],
      notServiceAccounts: [account('x', 'acct')],
      notSourceIps: ['11.0.0.0/8'],
      notDestinationIps: ['11.0.0.0/8'],
      notDestinationPorts: [80],
    },
    MTLS,
    true,
    'every list at once',
  ],
]

const TABLES = { PORTS, ADDRESSES, PRINCIPALS, ACCOUNTS, NAMESPACES, KINDS }

for (const [name, rows] of Object.entries(TABLES)) {
  t.test(name.toLowerCase(), async (t) => {
    for (const [item, match, context, matched, why] of rows) {
      const rules = [[[aMatch(match)]]]
      const what = `${item} ${JSON.stringify(match)}: ${why}`
      const allow = authorize([aPolicy({ rules })], context)
      t.equal(allow.allowed, matched, `ALLOW ${what}`)
      t.equal(allow.tree()[0]?.matched, matched, `the tree: ${what}`)
      t.equal(authorize([aPolicy({ action: 'DENY', rules })], context).allowed, !matched, `DENY ${what}`)
    }
  })
}

t.test('every list has a row that holds and one that does not', async (t) => {
  const rows = Object.values(TABLES).flat()
  for (const field of Object.keys(aMatch())) {
    for (const holds of [true, false]) {
      const alone = ([, match, , matched]: Row): boolean =>
        matched === holds && Object.keys(match).join() === field
      t.ok(rows.some(alone), `${field}: ${holds}`)
    }
  }
})

const MATCH = aMatch({ destinationPorts: [8080] })
const OTHER = aMatch({ destinationPorts: [80] })
const EMPTY = aMatch()

/** 8.4: OR over rules, AND over clauses, OR over matches, and the empty ones of each. */
const FORMS: readonly (readonly [string, PolicyMatch[][][], rule: number | undefined])[] = [
  ['no rules', [], undefined],
  ['a rule without clauses', [[]], 1],
  ['a clause without matches', [[[]]], 1],
  ['a match without lists', [[[EMPTY]]], undefined],
  ['only empty matches', [[[EMPTY, EMPTY]]], undefined],
  ['an empty match beside one that holds', [[[EMPTY, MATCH]]], 1],
  ['an empty match beside one that does not', [[[EMPTY, OTHER]]], undefined],
  ['one of several matches', [[[OTHER, MATCH]]], 1],
  ['none of several matches', [[[OTHER, OTHER]]], undefined],
  ['all clauses', [[[MATCH], [MATCH]]], 1],
  ['not all clauses', [[[MATCH], [OTHER]]], undefined],
  ['an empty clause beside one that holds', [[[], [MATCH]]], 1],
  ['an empty clause beside one that does not', [[[], [OTHER]]], undefined],
  ['a clause of an empty match beside one that holds', [[[EMPTY], [MATCH]]], undefined],
  ['the second rule', [[[OTHER]], [[MATCH]]], 2],
  ['the first of several rules', [[[OTHER]], [], [[MATCH]]], 2],
  ['none of several rules', [[[OTHER]], [[EMPTY]]], undefined],
]

t.test('8.4 rules, clauses and matches, and which rule it was', async (t) => {
  for (const [name, rules, rule] of FORMS) {
    for (const action of ['ALLOW', 'DENY'] as const) {
      const verdict = authorize([aPolicy({ action, rules })], MTLS)
      t.equal(verdict.rule, rule, `${action}: ${name}`)
      t.equal(verdict.allowed, (action === 'ALLOW') === (rule !== undefined), `${action}: ${name}`)
    }
  }
})

t.test(
  '8.6, istio 1.9: what STRICT becomes refuses plaintext and lets everybody with an identity in',
  async (t) => {
    const strict = aPolicy({ action: 'DENY', rules: [[[aMatch({ notPrincipals: [presence] })]]] })
    t.equal(authorize([strict], PLAIN).allowed, false)
    t.equal(authorize([strict], MTLS).allowed, true)
    const exempt = [[aMatch({ notPrincipals: [presence] })], [aMatch({ notDestinationPorts: [9090] })]]
    const withPort = aPolicy({ action: 'DENY', rules: [exempt] })
    t.equal(authorize([withPort], PLAIN).allowed, false)
    t.equal(authorize([withPort], { ...PLAIN, destinationPort: 9090 }).allowed, true, 'an exempt port')
  },
)
