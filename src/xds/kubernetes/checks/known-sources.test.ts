import t from 'tap'
import { podYaml, policyYaml } from '../test-support.ts'
import { knownSources } from './known-sources.ts'
import { type Cases, findingsOf } from './test-support.ts'

const ACCOUNT = '---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: job, namespace: bar}\n'
const from = (source: string) =>
  podYaml('a') + ACCOUNT + policyYaml(`{rules: [{from: [{source: ${source}}]}]}`)
const when = (condition: string) => podYaml('a') + policyYaml(`{rules: [{when: [${condition}]}]}`)
const AT = 'warning spec\\.rules\\[0\\]\\.from\\[0\\]\\.source\\.'

const CASES: Cases = [
  ["a pod's principal", from('{principals: [cluster.local/ns/foo/sa/a]}')],
  ["an account's that no pod has", from('{principals: [cluster.local/ns/bar/sa/job]}')],
  ['every namespace has a default account', from('{principals: [cluster.local/ns/bar/sa/default]}')],
  [
    "nobody's principal",
    from('{principals: [cluster.local/ns/foo/sa/a, cluster.local/ns/foo/sa/b]}'),
    RegExp(`^${AT}principals\\[1\\]: there is no service account of this name`),
  ],
  ['a principal of another mesh', from('{principals: [other.example/ns/foo/sa/b]}')],
  [
    'a principal written as an URI',
    from('{notPrincipals: ["spiffe://cluster.local/ns/foo/sa/a"]}'),
    RegExp(`^${AT}notPrincipals\\[0\\]: never matches: .*without "spiffe://"`),
  ],
  ['a principal that is none', from('{principals: [foo/a]}'), /never matches: expected TRUST-DOMAIN\/ns/],
  ['patterns that match somebody', from('{principals: ["*", "*/sa/a", "cluster.local/ns/foo/*"]}')],
  [
    'patterns that match nobody',
    from('{principals: ["*/sa/b", "cluster.local/ns/fo/*", "other.example/*"]}'),
    /no service account has a principal that matches "\*\/sa\/b"/,
    /matches "cluster.local\/ns\/fo\/\*"/,
  ],
  [
    'namespaces',
    from('{namespaces: [foo, bar, "f*", baz, "z*"]}'),
    RegExp(`^${AT}namespaces\\[3\\]: there is no namespace baz`),
    /there is no namespace that matches "z\*"/,
  ],
  [
    "service accounts, those without namespace in the policy's",
    from('{serviceAccounts: [a, bar/job, job]}'),
    RegExp(`^${AT}serviceAccounts\\[2\\]: there is no service account foo/job`),
  ],
  [
    'conditions',
    when('{key: source.namespace, values: [foo], notValues: [baz]}'),
    /^warning spec.rules\[0\].when\[0\].notValues\[0\]: there is no namespace baz/,
  ],
  ['conditions on something else', when('{key: source.ip, values: [10.0.0.1]}')],
]

for (const [name, yaml, ...expected] of CASES) {
  t.test(name, async (t) => {
    const findings = findingsOf(knownSources, yaml)
    t.equal(findings.length, expected.length, findings.join('\n'))
    t.match(findings, expected)
  })
}
