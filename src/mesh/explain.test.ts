import t from 'tap'
import { authorize } from './authorize.ts'
import { explainDecision, explainRoute, explainSubject, explainVerdict } from './explain.ts'
import { MeshStore } from './mesh-store.ts'
import { resolveOutbound } from './resolve.ts'
import { aMatch, aPolicy, aWorkload } from './test-support.ts'

t.test('a route, line by line', async (t) => {
  const store = new MeshStore()
  store.upsertWorkload(aWorkload({ name: 'server', addresses: ['10.0.0.2'] }))
  const input = { source: aWorkload(), network: '', random: () => 0, illegalPorts: new Set([15_001]) }
  const explain = (address: string, port: number): readonly string[] =>
    explainRoute(resolveOutbound(store, { ...input, destination: { address, port } }))
  t.same(explain('10.0.0.2', 80), [
    'address-lookup: 10.0.0.2 is the address of workload Kubernetes//Pod/default/server',
    'upstream-lookup: Kubernetes//Pod/default/server port 80: addressed itself',
    'destination: HBONE to 10.0.0.2:15008 for 10.0.0.2:80',
    '=> HBONE to endpoint 10.0.0.2:15008, CONNECT 10.0.0.2:80, expecting spiffe://cluster.local/ns/default/sa/server',
  ])
  t.equal(explain('8.8.8.8', 53).at(-1), '=> passthrough to 8.8.8.8:53')
  t.equal(
    explain('127.0.0.1', 15_001).at(-1),
    '=> refused (self-call): attempted recursive call to ourselves',
  )
})

t.test('a verdict, line by line', async (t) => {
  const rules = [[[aMatch({ namespaces: [{ kind: 'exact', value: 'a' }] }), aMatch()]]]
  const verdict = authorize([aPolicy({ rules, dryRun: true })], {
    sourceIdentity: undefined,
    sourceAddress: '10.0.0.1',
    destinationAddress: '10.0.0.2',
    destinationPort: 80,
  })
  t.same(explainVerdict(verdict), [
    'allowed: no allow policies, allow',
    'ALLOW default/policy (dry run): does not match',
    '  rule 1: does not match',
    '    clause 1: does not match',
    '      match 1: does not match',
    '        namespaces: "" against a: fails',
    '      match 2: empty, never matches',
  ])
})

t.test('a decision names the rule, or who could have allowed it', async (t) => {
  const context = {
    sourceIdentity: { trustDomain: 'td', namespace: 'a', serviceAccount: 'b' },
    sourceAddress: '10.0.0.1',
    destinationAddress: 'fd00::2',
    destinationPort: 80,
  }
  const byPort = (port: number) => [[aMatch({ destinationPorts: [port] })]]
  const deny = aPolicy({ action: 'DENY', rules: [byPort(81), byPort(80)] })
  t.equal(explainDecision(authorize([deny], context)), 'denied: explicitly denied by: default/policy, rule 2')
  const allows = (count: number) => Array.from({ length: count }, (_, i) => aPolicy({ name: `p${i}` }))
  t.equal(
    explainDecision(authorize(allows(2), context)),
    'denied: allow policies exist, but none allowed: no rule matches in default/p0, default/p1',
  )
  t.match(explainDecision(authorize(allows(7), context)), /default\/p4 and 2 more$/)
  t.equal(explainSubject(context), 'spiffe://td/ns/a/sa/b from 10.0.0.1 to [fd00::2]:80')
  t.equal(
    explainSubject({ ...context, sourceIdentity: undefined }),
    'no identity from 10.0.0.1 to [fd00::2]:80',
  )
})
