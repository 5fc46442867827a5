import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import { authorize } from './authorize.ts'
import { MeshStore } from './mesh-store.ts'
import type { AuthorizationPolicy, PolicyMatch, ServiceAccountMatch, StringMatch, Workload } from './model.ts'
import { policyName } from './names.ts'
import { aMatch, aPolicy, aWorkload } from './test-support.ts'
import type { PolicyContext, Verdict } from './verdict.ts'

const RUNS = 4000

// The definition, wire/ztunnel 8.1 to 8.8, as plainly as it can be written: no
// index, no cache, no compiled form, another library's reading of addresses.

function naive(all: readonly AuthorizationPolicy[], workload: Workload, context: PolicyContext) {
  const bearing = all.filter(
    (policy) =>
      workload.authorizationPolicies.includes(policyName(policy)) ||
      policy.scope === 'GLOBAL' ||
      (policy.scope === 'NAMESPACE' && ['', workload.namespace].includes(policy.namespace)),
  )
  const enforced = bearing.filter(({ dryRun }) => !dryRun)
  const matching = (action: AuthorizationPolicy['action']): Map<string, number> => {
    const hits = enforced.filter(
      (policy) => policy.action === action && rulesHolding(policy, context).length > 0,
    )
    return new Map(hits.map((policy) => [policyName(policy), rulesHolding(policy, context)[0] ?? -1]))
  }
  const [denies, allows] = [matching('DENY'), matching('ALLOW')]
  const anyAllow = enforced.some(({ action }) => action === 'ALLOW')
  if (denies.size > 0) return { reason: 'explicitly-denied', deciders: denies }
  if (!anyAllow) return { reason: 'no-allow-policies', deciders: undefined }
  if (allows.size > 0) return { reason: 'explicitly-allowed', deciders: allows }
  return { reason: 'allow-policies-but-none-matched', deciders: undefined }
}

function rulesHolding({ rules }: AuthorizationPolicy, context: PolicyContext): number[] {
  const clauseHolds = (matches: readonly PolicyMatch[]): boolean =>
    matches.length === 0 || matches.some((match) => naiveMatch(match, context))
  return rules.flatMap((clauses, i) => (clauses.every(clauseHolds) ? [i + 1] : []))
}

function naiveMatch(match: PolicyMatch, context: PolicyContext): boolean {
  const { sourceIdentity: id, sourceAddress, destinationAddress, destinationPort } = context
  const principal = id && `${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`
  const isAccount = (a: ServiceAccountMatch): boolean =>
    id?.namespace === a.namespace && id.serviceAccount === a.serviceAccount
  const isPrincipal = (m: StringMatch): boolean => principal !== undefined && textHits(m, principal)
  const isNamespace = (m: StringMatch): boolean => textHits(m, id?.namespace ?? '')
  const results = [
    kind(match.namespaces, match.notNamespaces, isNamespace),
    kind(match.principals, match.notPrincipals, isPrincipal),
    kind(match.serviceAccounts, match.notServiceAccounts, isAccount),
    kind(readable(match.sourceIps), readable(match.notSourceIps), (b) => inBlock(b, sourceAddress)),
    kind(readable(match.destinationIps), readable(match.notDestinationIps), (b) =>
      inBlock(b, destinationAddress),
    ),
    kind(match.destinationPorts, match.notDestinationPorts, (port) => port === destinationPort),
  ]
  return results.some((result) => result !== 'empty') && !results.includes('fails')
}

function kind<T>(positive: readonly T[], negative: readonly T[], hits: (value: T) => boolean) {
  if (positive.length === 0 && negative.length === 0) return 'empty'
  const holds = (positive.length === 0 || positive.some(hits)) && !negative.some(hits)
  return holds ? 'holds' : 'fails'
}

function textHits(match: StringMatch, text: string): boolean {
  if (match.kind === 'presence') return text.length > 0
  const at = text.indexOf(match.value)
  if (match.kind === 'exact') return at === 0 && text.length === match.value.length
  return match.kind === 'prefix' ? at === 0 : text.slice(text.length - match.value.length) === match.value
}

const readable = (blocks: readonly string[]): readonly string[] => blocks.filter(ipaddr.isValidCIDR)

function inBlock(block: string, address: string): boolean {
  const [parsed, range] = [ipaddr.process(address), ipaddr.parseCIDR(block)]
  return parsed.kind() === range[0].kind() && parsed.match(range)
}

// Few values, so that they hit often.
const NAMES = ['', 'a', 'ab', 'b']
const name = fc.constantFrom(...NAMES)
const text = fc.constantFrom(...NAMES, 'td/ns/a/sa/b', 'td/ns/a', '/sa/b', 'spiffe://td/ns/a/sa/b')
const stringMatch: fc.Arbitrary<StringMatch> = fc.oneof(
  fc.record({ kind: fc.constantFrom('exact' as const, 'prefix' as const, 'suffix' as const), value: text }),
  fc.constant({ kind: 'presence' as const }),
)
const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { minLength: 1, maxLength: 2 })
const account = fc.record({ namespace: name, serviceAccount: name })
const block = fc.constantFrom(
  ...['10.0.0.1/32', '10.0.0.3/30', '10.0.0.0/9', '0.0.0.0/0', '10.0.0.0/33', 'bad'],
  ...['fd00::1/128', 'fd00::2/127', 'fd00::/33', '::/0', '::ffff:0:0/96', 'fd00::/129'],
)
const port = fc.constantFrom(80, 8080)
const FIELDS: { readonly [F in keyof PolicyMatch]: fc.Arbitrary<PolicyMatch[F]> } = {
  namespaces: list(stringMatch),
  notNamespaces: list(stringMatch),
  principals: list(stringMatch),
  notPrincipals: list(stringMatch),
  serviceAccounts: list(account),
  notServiceAccounts: list(account),
  sourceIps: list(block),
  notSourceIps: list(block),
  destinationIps: list(block),
  notDestinationIps: list(block),
  destinationPorts: list(port),
  notDestinationPorts: list(port),
}
const match = fc
  .subarray(Object.keys(FIELDS) as (keyof PolicyMatch)[], { maxLength: 3 })
  .chain((fields) => fc.record(Object.fromEntries(fields.map((field) => [field, FIELDS[field]]))))
  .map((lists) => aMatch(lists))
const some = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 2 })
const policy = fc
  .record({
    name: fc.constantFrom('p', 'q', 'r', 's'),
    namespace: name,
    scope: fc.constantFrom('GLOBAL' as const, 'NAMESPACE' as const, 'WORKLOAD_SELECTOR' as const),
    action: fc.constantFrom('ALLOW' as const, 'DENY' as const),
    dryRun: fc.boolean(),
    rules: some(some(some(match))),
  })
  .map((parts) => aPolicy(parts))
const policies = fc.uniqueArray(policy, { maxLength: 5, selector: policyName })
const workload = fc
  .record({
    namespace: name,
    authorizationPolicies: fc.array(fc.constantFrom('a/p', 'a/q', 'b/p', '/p', 'b/gone'), { maxLength: 3 }),
  })
  .map((parts) => aWorkload(parts))
const identity = fc.record({
  trustDomain: fc.constantFrom('td', 'x'),
  namespace: name,
  serviceAccount: name,
})
const context: fc.Arbitrary<PolicyContext> = fc.record({
  sourceIdentity: fc.option(identity, { nil: undefined }),
  sourceAddress: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.200.0.1', '::ffff:10.0.0.1', 'fd00::1'),
  destinationAddress: fc.constantFrom('10.0.0.1', 'fd00::2'),
  destinationPort: port,
})

t.test('the compiled evaluator says what the definition says', async (t) => {
  const reasons = new Map<string, number>()
  fc.assert(
    fc.property(policies, workload, context, (all, workload, context) => {
      const store = new MeshStore()
      for (const policy of all) store.upsertPolicy(policy)
      const verdict = authorize(store.policiesFor(workload), context)
      const expected = naive(all, workload, context)
      reasons.set(expected.reason, (reasons.get(expected.reason) ?? 0) + 1)
      return (
        verdict.reason === expected.reason && decidedBy(verdict, expected.deciders) && treeAgrees(verdict)
      )
    }),
    { numRuns: RUNS },
  )
  t.equal(reasons.size, 4, 'every outcome came up')
  for (const [reason, times] of reasons) t.ok(times > RUNS / 50, `${reason}: ${times} of ${RUNS}`)
})

t.test('a store that policies came to and went from is as one that never had them', async () => {
  fc.assert(
    fc.property(policies, policies, workload, context, (first, second, workload, context) => {
      const store = new MeshStore()
      for (const policy of first) store.upsertPolicy(policy)
      store.policiesFor(workload)
      for (const policy of second) store.upsertPolicy(policy)
      store.policiesFor(workload)
      const stays = new Set(second.map(policyName))
      for (const policy of first) if (!stays.has(policyName(policy))) store.removePolicy(policyName(policy))
      const { reason } = authorize(store.policiesFor(workload), context)
      return reason === naive(second, workload, context).reason
    }),
    { numRuns: RUNS / 4 },
  )
})

/** Where several policies of one kind match, any of them may be the one that is named. */
function decidedBy({ policy, rule }: Verdict, deciders: Map<string, number> | undefined): boolean {
  if (policy === undefined || deciders === undefined) return policy === undefined && deciders === undefined
  return deciders.has(policy) && deciders.get(policy) === rule
}

/** The tree is another way through the same policies: the decider's rule is its first that matches. */
function treeAgrees(verdict: Verdict): boolean {
  const decider = verdict.tree().find(({ policy }) => policy === verdict.policy)
  if (decider === undefined) return verdict.policy === undefined
  return decider.matched && decider.rules.findIndex(({ matched }) => matched) + 1 === verdict.rule
}
