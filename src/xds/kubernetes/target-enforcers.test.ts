import t from 'tap'
import type { PolicyTarget } from '../../mesh/http/policy-model.ts'
import { meshOf, podYaml, policyYaml } from './test-support.ts'

const CLASS = 'group: gateway.networking.k8s.io, kind: GatewayClass'
const GATEWAY = 'group: gateway.networking.k8s.io, kind: Gateway'
const ENTRY = 'group: networking.istio.io, kind: ServiceEntry'

const MESH = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: foo}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{value: 10.96.0.9}]}
---
apiVersion: v1
kind: Service
metadata: {name: behind, namespace: foo, labels: {istio.io/use-waypoint: wp}}
spec: {clusterIP: None}
---
apiVersion: v1
kind: Service
metadata: {name: bare, namespace: foo}
spec: {clusterIP: None}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: foo, labels: {istio.io/use-waypoint: wp}}
spec: {hosts: [outside.example, two.example], addresses: [10.99.0.1], resolution: DNS, ports: [{number: 443, name: tls}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ingress, namespace: foo}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
`

const GATEWAY_FOO_WP = [{ kind: 'gateway', namespace: 'foo', name: 'wp' }] as const
const service = (host: string): readonly PolicyTarget[] => [{ kind: 'service', service: `foo/${host}` }]

/** Where the policy stands, what it is bound to, what waypoints look it up by, and what is warned of. */
type Case = readonly [
  namespace: string,
  reference: string,
  targets: readonly PolicyTarget[],
  warning: RegExp | undefined,
]

const CASES: readonly Case[] = [
  ['foo', 'kind: Service, name: behind', service('behind.foo.svc.cluster.local'), undefined],
  [
    'foo',
    'kind: Service, name: bare',
    service('bare.foo.svc.cluster.local'),
    /^Service foo\/bare has no waypoint: nobody enforces/,
  ],
  ['foo', 'kind: Service, name: gone', [], /^there is no Service foo\/gone: nobody enforces/],
  ['bar', 'kind: Service, name: behind', [], /^there is no Service bar\/behind/],
  [
    'bar',
    'kind: Service, name: behind, namespace: foo',
    [],
    /^Service foo\/behind is of another namespace, .*: nobody enforces/,
  ],
  ['foo', 'kind: Service, name: behind, namespace: foo', service('behind.foo.svc.cluster.local'), undefined],
  ['foo', `${ENTRY}, name: outside`, [...service('outside.example'), ...service('two.example')], undefined],
  ['foo', 'kind: ServiceEntry, name: outside', [], /^ServiceEntry of group "" cannot be bound/],
  ['foo', `${GATEWAY}, name: wp`, GATEWAY_FOO_WP, undefined],
  [
    'foo',
    `${GATEWAY}, name: ingress`,
    [],
    /^enforced by Gateway foo\/ingress alone, which istiod configures/,
  ],
  ['foo', `${GATEWAY}, name: gone`, [], /^there is no Gateway foo\/gone/],
  [
    'istio-system',
    `${CLASS}, name: istio-waypoint`,
    [{ kind: 'gatewayClass', name: 'istio-waypoint' }],
    undefined,
  ],
  ['istio-system', `${CLASS}, name: istio`, [], /^enforced by gateways of class istio alone/],
  ['foo', `${CLASS}, name: istio-waypoint`, [], /in the root namespace istio-system only: nobody enforces/],
  ['foo', 'kind: Pod, name: a', [], /^Pod of group "" cannot be bound: expected Service of group ""/],
]

t.test('a policy with a target goes to waypoints alone, and where none enforces it is said', async (t) => {
  for (const [namespace, reference, targets, warning] of CASES) {
    for (const spec of [
      `{targetRefs: [{${reference}}]}`,
      `{action: DENY, targetRef: {${reference}}, rules: [{}]}`,
    ]) {
      const mesh = meshOf(MESH + policyYaml(spec, `{name: p, namespace: ${namespace}}`) + podYaml('a'))
      t.strictSame(mesh.policies, [], spec)
      const listed = mesh.workloads.flatMap(({ authorizationPolicies }) => authorizationPolicies)
      t.strictSame(listed, [], spec)
      const bound = mesh.waypointPolicies.flatMap(({ targets }) => targets)
      t.strictSame(bound, targets, spec)
      const said = mesh.warnings.filter(({ object }) => object.kind === 'AuthorizationPolicy')
      t.match(said, warning === undefined ? [] : [{ field: 'spec.targetRefs', message: warning }], spec)
      t.equal(said.length, warning === undefined ? 0 : 1, spec)
    }
  }
})

t.test('a policy may have several targets, and is bound to those that waypoints know', async (t) => {
  const refs = `[{kind: Service, name: behind}, {${GATEWAY}, name: gone}, {${GATEWAY}, name: wp}]`
  const { waypointPolicies, warnings } = meshOf(MESH + policyYaml(`{targetRefs: ${refs}}`))
  t.strictSame(
    waypointPolicies.map(({ targets }) => targets),
    [[...service('behind.foo.svc.cluster.local'), ...GATEWAY_FOO_WP]],
  )
  const said = warnings.filter(({ object }) => object.kind === 'AuthorizationPolicy')
  t.match(said, [{ message: /there is no Gateway foo\/gone/ }])
})

t.test(
  'a policy without a target holds for the waypoint’s pods like for others, not for what is behind it',
  async (t) => {
    const instance = podYaml('wp').replace('{app: wp}', '{gateway.networking.k8s.io/gateway-name: wp}')
    const selecting = '{selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: wp}}, rules: [{}]}'
    const { workloads, policies } = meshOf(MESH + instance + podYaml('a') + policyYaml(selecting))
    t.match(policies, [{ scope: 'WORKLOAD_SELECTOR' }])
    t.match(workloads, [
      { name: 'a', authorizationPolicies: [] },
      { name: 'wp', authorizationPolicies: ['foo/p'] },
    ])
  },
)
