import t from 'tap'
import { podYaml, policyYaml } from '../test-support.ts'
import { labels } from './labels.ts'
import { type Cases, findingsOf, serviceYaml } from './test-support.ts'

const namespace = (labels: string) =>
  `---\napiVersion: v1\nkind: Namespace\nmetadata: {name: foo, labels: ${labels}}\n`

const CASES: Cases = [
  ['what Kubernetes takes', serviceYaml('a', '{}', `{a.b/C_d: "", x: ${'y'.repeat(63)}}`)],
  [
    'values that Kubernetes refuses',
    serviceYaml('a', '{}', `{a: "b c", b: -x, c: ${'y'.repeat(64)}}`),
    /^error metadata.labels\["a"\]: the label value "b c" is refused/,
    /\["b"\]/,
    /\["c"\]/,
  ],
  [
    'a key that Kubernetes refuses',
    serviceYaml('a', '{}', '{a/b/c: d}'),
    /^error .* the label key "a\/b\/c" is refused/,
  ],
  ['selectors, of services', serviceYaml('a', '{selector: {app: "a*"}}'), /^error spec.selector\["app"\]/],
  [
    'and of policies',
    policyYaml('{selector: {matchLabels: {app: "*"}}}'),
    /^error spec.selector.matchLabels\["app"\]/,
  ],
  ['enrolment', namespace('{istio.io/dataplane-mode: ambient}')],
  [
    'a namespace that is not enrolled for a capital letter',
    namespace('{istio.io/dataplane-mode: Ambient}'),
    /^warning metadata.labels\["istio.io\/dataplane-mode"\]: "Ambient" is no value .* expected ambient or none$/,
  ],
  [
    'a pod likewise',
    podYaml('a', '', ', annotations: {ambient.istio.io/redirection: "true"}'),
    /^warning metadata.annotations\["ambient.istio.io\/redirection"\]: "true"/,
  ],
  [
    'labels and annotations of a pod with values that mean nothing',
    podYaml(
      'a',
      '',
      ', annotations: {ambient.istio.io/bypass-inbound-capture: "yes", ambient.istio.io/dns-capture: "on"}',
    ).replace('{app: a}', '{sidecar.istio.io/inject: disabled}'),
    /sidecar.istio.io\/inject"\]: "disabled" is no value .* expected true or false$/,
    /bypass-inbound-capture"\]: "yes"/,
    /dns-capture"\]: "on"/,
  ],
  [
    'injection and ingress likewise',
    namespace('{istio-injection: "true"}') + serviceYaml('a', '{}', '{istio.io/ingress-use-waypoint: "yes"}'),
    /^warning metadata.labels\["istio-injection"\]: "true" .* expected enabled or disabled$/,
    /^warning metadata.labels\["istio.io\/ingress-use-waypoint"\]: "yes"/,
  ],
  [
    'a namespace that asks for both data planes',
    namespace('{istio-injection: enabled, istio.io/dataplane-mode: ambient}'),
    /^warning metadata.labels\["istio-injection"\]: asks for a sidecar, which wins/,
  ],
  [
    'a namespace that asks for one',
    namespace('{istio-injection: disabled, istio.io/dataplane-mode: ambient}'),
  ],
  [
    'a pod that asks for both',
    podYaml('a').replace('{app: a}', '{sidecar.istio.io/inject: "true", istio.io/dataplane-mode: ambient}'),
    /^warning metadata.labels\["sidecar.istio.io\/inject"\]: asks for a sidecar/,
  ],
  [
    'a network where none is read',
    podYaml('a').replace('{app: a}', '{topology.istio.io/network: n}') +
      namespace('{topology.istio.io/network: n}') +
      namespace('{topology.istio.io/network: n}').replace('foo', 'istio-system'),
    /^warning metadata.labels\["topology.istio.io\/network"\]: has no effect here/,
    /^warning metadata.labels\["topology.istio.io\/network"\]: has no effect here/,
  ],
]

for (const [name, yaml, ...expected] of CASES) {
  t.test(name, async (t) => {
    const findings = findingsOf(labels, yaml)
    t.equal(findings.length, expected.length, findings.join('\n'))
    t.match(findings, expected)
  })
}
