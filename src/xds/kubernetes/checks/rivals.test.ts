import t from 'tap'
import { rivals } from './rivals.ts'
import { type Cases, findingsOf } from './test-support.ts'

const peer = (name: string, date: string, spec = 'mtls: {mode: STRICT}', namespace = 'foo') =>
  `---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication
metadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "${date}"}\nspec: {${spec}}\n`
const waypoint = (name: string, metadata: string, namespace = 'foo') =>
  `---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway
metadata: {name: ${name}, namespace: ${namespace}, ${metadata}}\nspec: {gatewayClassName: istio-waypoint}\n`
const OF_A = 'annotations: {istio.io/for-service-account: a}'

const CASES: Cases = [
  [
    'two modes of a namespace: the older counts',
    peer('a', '2026-02-01T00:00:00Z') + peer('b', '2026-01-01T00:00:00Z'),
    /^warning spec.mtls: has no effect: the mode of namespace foo is decided by PeerAuthentication foo\/b \(PeerAuthentication b spec.mtls\)$/,
  ],
  [
    'two modes of the mesh',
    peer('a', '', 'mtls: {mode: STRICT}', 'istio-system') +
      peer('b', '', 'mtls: {mode: STRICT}', 'istio-system'),
    /the mode of the mesh is decided by PeerAuthentication istio-system\/a/,
  ],
  [
    'one of the namespace, one of some pods',
    peer('a', '') + peer('b', '', 'selector: {matchLabels: {a: b}}'),
  ],
  ['one of each namespace', peer('a', '') + peer('a', '', 'mtls: {mode: STRICT}', 'bar')],
  [
    'two waypoints of an account',
    waypoint('x', OF_A) + waypoint('y', 'labels: {istio.io/for-service-account: a}'),
    /^warning metadata.labels\["istio.io\/for-service-account"\]: has no effect: the waypoint of service account foo\/a is decided by Gateway foo\/x/,
  ],
  ['one of each account', waypoint('x', OF_A) + waypoint('y', OF_A, 'bar') + waypoint('z', 'labels: {}')],
]

for (const [name, yaml, ...expected] of CASES) {
  t.test(name, async (t) => {
    const findings = findingsOf(rivals, yaml)
    t.equal(findings.length, expected.length, findings.join('\n'))
    t.match(findings, expected)
  })
}
