import t from 'tap'
import { parseFile } from './parse.ts'
import { formatProblem } from './problem.ts'

function problems(text: string): readonly string[] {
  return parseFile('a.yaml', text).problems.map((problem) => `${problem.severity} ${formatProblem(problem)}`)
}

const META = 'metadata: {name: a, namespace: foo}'
const doc = (apiVersion: string, kind: string, rest: string) =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\n${META}\n${rest}\n`

/** One slip in each kind, where it stands and what is said. */
const CASES: readonly (readonly [yaml: string, expected: string])[] = [
  [
    doc('v1', 'Service', 'spec:\n  clusterIP: None\n  selecter: {app: a}'),
    'warning a.yaml:6:3: spec.selecter: unknown field, it has no effect; is "selector" meant?',
  ],
  [
    doc('v1', 'Service', 'spec:\n  ports:\n  - {port: 80, targetport: 8080}'),
    'warning a.yaml:6:16: spec.ports[0].targetport: unknown field, it has no effect; is "targetPort" meant?',
  ],
  [
    doc('v1', 'Pod', 'spec: {nodename: n}\nstatus: {podIP: 10.0.0.1}'),
    'warning a.yaml:4:8: spec.nodename: unknown field, it has no effect; is "nodeName" meant?',
  ],
  [
    doc('v1', 'Pod', 'spec:\n  containers:\n  - {name: c, ports: [{containerport: 80, containerPort: 80}]}'),
    'warning a.yaml:6:24: spec.containers[0].ports[0].containerport: unknown field, it has no effect; is "containerPort" meant?',
  ],
  [
    doc('v1', 'Pod', 'spec: {}\nstatus: {podIP: 10.0.0.1, podIps: []}'),
    'warning a.yaml:5:27: status.podIps: unknown field, it has no effect; is "podIPs" meant?',
  ],
  [
    doc('v1', 'Namespace', 'lables: {a: b}').replace(', namespace: foo', ''),
    'warning a.yaml:4:1: lables: unknown field, it has no effect',
  ],
  [
    doc('v1', 'Node', 'stauts: {}').replace(', namespace: foo', ''),
    'warning a.yaml:4:1: stauts: unknown field, it has no effect; is "status" meant?',
  ],
  [
    doc('v1', 'ConfigMap', 'dta: {}'),
    'warning a.yaml:4:1: dta: unknown field, it has no effect; is "data" meant?',
  ],
  [
    doc(
      'discovery.k8s.io/v1',
      'EndpointSlice',
      'addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], condition: {ready: false}}]',
    ),
    'warning a.yaml:5:37: endpoints[0].condition: unknown field, it has no effect; is "conditions" meant?',
  ],
  [
    doc(
      'gateway.networking.k8s.io/v1',
      'Gateway',
      'spec:\n  gatewayClassName: istio-waypoint\n  listeners:\n  - {port: 15008, protocol: HBONE, allowRoutes: {}}',
    ),
    'warning a.yaml:7:36: spec.listeners[0].allowRoutes: unknown field, it has no effect; is "allowedRoutes" meant?',
  ],
  [
    doc('networking.istio.io/v1', 'ServiceEntry', 'spec: {hosts: [a.example]}\nstat: {}'),
    'warning a.yaml:5:1: stat: unknown field, it has no effect',
  ],
  [
    doc('networking.istio.io/v1', 'WorkloadEntry', 'spec: {address: 10.0.0.1}\nspecs: {}'),
    'warning a.yaml:5:1: specs: unknown field, it has no effect; is "spec" meant?',
  ],
]

t.test(
  'a mistyped field of any kind is told of where it stands, with the one that may be meant',
  async (t) => {
    for (const [yaml, expected] of CASES) t.strictSame(problems(yaml), [expected], yaml)
  },
)

t.test('of Istio’s kinds, one within the spec is an error', async (t) => {
  const cases: readonly (readonly [yaml: string, expected: RegExp])[] = [
    [
      doc('networking.istio.io/v1', 'ServiceEntry', 'spec: {hosts: [a.example], adresses: []}'),
      /spec.adresses: unknown field/,
    ],
    [
      doc('networking.istio.io/v1', 'WorkloadEntry', 'spec: {address: 10.0.0.1, port: {}}'),
      /spec.port: unknown field/,
    ],
    [
      doc('security.istio.io/v1', 'PeerAuthentication', 'spec: {mtsl: {mode: STRICT}}'),
      /spec.mtsl: unknown field/,
    ],
    [doc('security.istio.io/v1', 'AuthorizationPolicy', 'sepc: {}'), /sepc: unknown field/],
  ]
  for (const [yaml, expected] of cases) t.match(problems(yaml), [expected], yaml)
  for (const [yaml] of cases) t.match(problems(yaml), [/^error /], yaml)
})

t.test('fields that carry the name of something that every object has are unknown too', async (t) => {
  const yaml = doc('v1', 'Service', 'spec: {constructor: 1, toString: 2}')
  t.match(problems(yaml), [/spec.constructor: unknown field/, /spec.toString: unknown field/])
})
