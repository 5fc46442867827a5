import t from 'tap'
import { podYaml } from '../test-support.ts'
import { emptySelectors } from './empty-selectors.ts'
import { type Cases, findingsOf, serviceYaml } from './test-support.ts'

const peerAuthentication = (labels: string, namespace = 'foo') =>
  `---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication
metadata: {name: p, namespace: ${namespace}}\nspec: {selector: {matchLabels: ${labels}}, mtls: {mode: STRICT}}\n`

const CASES: Cases = [
  ['a service that selects a pod', podYaml('a') + serviceYaml('a', '{selector: {app: a}}')],
  [
    'a service that selects none',
    podYaml('a') + serviceYaml('a', '{selector: {app: b}}'),
    /^warning spec.selector: no pod of namespace foo has these labels/,
  ],
  [
    'a pod of another namespace is no endpoint',
    podYaml('a').replace('namespace: foo', 'namespace: bar') + serviceYaml('a', '{selector: {app: a}}'),
    /^warning spec.selector: no pod of namespace foo/,
  ],
  [
    'a pod without an address is an endpoint to come',
    podYaml('a').replace('podIP: 10.0.0.1', '') + serviceYaml('a', '{selector: {app: a}}'),
  ],
  ['a service without selector', serviceYaml('a', '{}')],
  ['an alias', serviceYaml('a', '{type: ExternalName, selector: {app: b}}')],
  ['a peer authentication that selects a pod', podYaml('a') + peerAuthentication('{app: a}')],
  [
    'a peer authentication that selects none',
    podYaml('a') + peerAuthentication('{app: b}'),
    /^warning spec.selector.matchLabels: no pod has these labels/,
  ],
  [
    'a peer authentication with a selector in the root namespace',
    podYaml('a') + peerAuthentication('{app: a}', 'istio-system'),
    /^warning spec.selector.matchLabels: has no effect in the root namespace istio-system/,
  ],
]

for (const [name, yaml, ...expected] of CASES) {
  t.test(name, async (t) => {
    const findings = findingsOf(emptySelectors, yaml)
    t.equal(findings.length, expected.length, findings.join('\n'))
    t.match(findings, expected)
  })
}
