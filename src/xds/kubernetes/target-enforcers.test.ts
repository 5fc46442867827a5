import t from 'tap'
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
spec: {hosts: [outside.example], addresses: [10.99.0.1], resolution: DNS, ports: [{number: 443, name: tls}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ingress, namespace: foo}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
`

/** Where the policy stands, what it is bound to, who enforces it. */
const CASES: readonly (readonly [namespace: string, reference: string, expected: RegExp])[] = [
  ['foo', 'kind: Service, name: behind', /^enforced by the waypoint of Service foo\/behind alone/],
  ['foo', 'kind: Service, name: bare', /^Service foo\/bare has no waypoint: nobody enforces/],
  ['foo', 'kind: Service, name: gone', /^there is no Service foo\/gone: nobody enforces/],
  ['bar', 'kind: Service, name: behind', /^there is no Service bar\/behind/],
  ['bar', 'kind: Service, name: behind, namespace: foo', /^Service foo\/behind is of another namespace/],
  ['foo', 'kind: Service, name: behind, namespace: foo', /^enforced by the waypoint/],
  ['foo', `${ENTRY}, name: outside`, /^enforced by the waypoint of ServiceEntry foo\/outside alone/],
  ['foo', 'kind: ServiceEntry, name: outside', /^ServiceEntry of group "" cannot be bound/],
  ['foo', `${GATEWAY}, name: wp`, /^enforced by waypoint foo\/wp alone/],
  ['foo', `${GATEWAY}, name: ingress`, /^enforced by Gateway foo\/ingress alone/],
  ['foo', `${GATEWAY}, name: gone`, /^there is no Gateway foo\/gone/],
  ['istio-system', `${CLASS}, name: istio-waypoint`, /^enforced by gateways of class istio-waypoint alone/],
  ['foo', `${CLASS}, name: istio-waypoint`, /in the root namespace istio-system only/],
  ['foo', 'kind: Pod, name: a', /^Pod of group "" cannot be bound: expected Service of group ""/],
]

t.test('a policy with a target never reaches a node proxy, and who enforces it is said', async (t) => {
  for (const [namespace, reference, expected] of CASES) {
    for (const spec of [
      `{targetRefs: [{${reference}}]}`,
      `{action: DENY, targetRef: {${reference}}, rules: [{}]}`,
    ]) {
      const mesh = meshOf(MESH + policyYaml(spec, `{name: p, namespace: ${namespace}}`) + podYaml('a'))
      t.strictSame(mesh.policies, [], spec)
      t.strictSame(
        mesh.workloads.flatMap(({ authorizationPolicies }) => authorizationPolicies),
        [],
        spec,
      )
      const said = mesh.warnings.filter(({ object }) => object.kind === 'AuthorizationPolicy')
      t.match(said, [{ field: 'spec.targetRefs', message: expected }], spec)
      t.equal(said.length, 1, spec)
    }
  }
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
