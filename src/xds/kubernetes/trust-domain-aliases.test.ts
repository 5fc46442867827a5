import t from 'tap'
import { meshOf, podYaml, policyYaml } from './test-support.ts'
import { expandPrincipals } from './trust-domain-aliases.ts'

t.test('a principal of the mesh is meant under each of its trust domains', async (t) => {
  const account = '/ns/foo/sa/bar'
  const cases: readonly [given: string, trustDomains: readonly string[], expected: readonly string[]][] = [
    ['new', ['new', 'old'], ['new', 'old']],
    ['old', ['new', 'old'], ['new', 'old']],
    ['cluster.local', ['new', 'old'], ['new', 'old']],
    ['cluster.local', ['new'], ['new']],
    ['cluster.local', ['cluster.local'], ['cluster.local']],
    ['foreign', ['new', 'old'], ['foreign']],
    ['*', ['new', 'old'], ['*']],
    ['*-mesh', ['new-mesh', 'old-mesh', 'cluster.local'], ['*-mesh', 'cluster.local']],
    ['*-mesh', ['new', 'old'], ['*-mesh']],
  ]
  for (const [given, trustDomains, expected] of cases) {
    t.strictSame(
      expandPrincipals([given + account], trustDomains),
      expected.map((name) => name + account),
      `${given} in ${trustDomains}`,
    )
  }
  for (const principal of ['*', 'old/*', '*/sa/bar', 'spiffe://old/ns/foo/sa/bar', 'bar'])
    t.strictSame(expandPrincipals([principal], ['new', 'old']), [principal])
})

const MESH_CONFIG = `---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "trustDomain: new\\ntrustDomainAliases: [old]"}
`

t.test('policies name the aliases wherever they name principals', async (t) => {
  const policy = policyYaml(`{rules: [{
    from: [{source: {principals: [old/ns/foo/sa/a], notPrincipals: [new/ns/foo/sa/b, "*"]}}],
    when: [{key: source.principal, values: [cluster.local/ns/foo/sa/c], notValues: [old/ns/foo/sa/d]}]}]}`)
  const mesh = meshOf(MESH_CONFIG + policy + podYaml('a'), { trustDomain: 'new' })
  t.strictSame(mesh.warnings, [])
  const [from, when] = (mesh.policies[0]?.rules[0] ?? []).map((clause) => clause[0])
  const exact = (...values: readonly string[]) => values.map((value) => ({ kind: 'exact', value }))
  t.match(from, {
    principals: exact('new/ns/foo/sa/a', 'old/ns/foo/sa/a'),
    notPrincipals: [...exact('new/ns/foo/sa/b', 'old/ns/foo/sa/b'), { kind: 'presence' }],
  })
  t.match(when, {
    principals: exact('new/ns/foo/sa/c', 'old/ns/foo/sa/c'),
    notPrincipals: exact('new/ns/foo/sa/d', 'old/ns/foo/sa/d'),
  })
})
