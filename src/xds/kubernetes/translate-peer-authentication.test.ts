import t from 'tap'
import type { AuthorizationPolicy } from '../../mesh/model.ts'
import { aMatch } from '../../mesh/test-support.ts'
import { meshOf, podYaml } from './test-support.ts'

interface Given {
  readonly mesh?: string
  readonly namespace?: string
  readonly workload?: string
  readonly ports?: string
}

/** What pod `foo/a` lists, and the rules of its converted policy. */
function attached(given: Given): {
  names: readonly string[]
  rules: AuthorizationPolicy['rules'] | undefined
} {
  const yaml = (metadata: string, spec: string) =>
    `---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {${metadata}}\nspec: {${spec}}\n`
  const mode = (name: string | undefined) => `mtls: {mode: ${name ?? 'UNSET'}}`
  const ports = given.ports === undefined ? '' : `, portLevelMtls: {${given.ports}}`
  const { policies, workloads } = meshOf(
    (given.mesh ? yaml('name: m, namespace: istio-system', mode(given.mesh)) : '') +
      (given.namespace ? yaml('name: n, namespace: foo', mode(given.namespace)) : '') +
      (given.workload || given.ports
        ? yaml(
            'name: w, namespace: foo',
            `selector: {matchLabels: {app: a}}, ${mode(given.workload)}${ports}`,
          )
        : '') +
      podYaml('a'),
  )
  const converted = policies.find(({ name }) => name === 'converted_peer_authentication_w')
  return { names: workloads[0]?.authorizationPolicies ?? [], rules: converted?.rules }
}

const STATIC = 'istio-system/istio_converted_static_strict'
const CONVERTED = 'foo/converted_peer_authentication_w'
const ANONYMOUS = aMatch({ notPrincipals: [{ kind: 'presence' }] })
const exempt = (port: number) => [[[ANONYMOUS], [aMatch({ notDestinationPorts: [port] })]]]
const strictPort = (port: number) => [[[{ ...ANONYMOUS, destinationPorts: [port] }]]]

t.test('the effective mode is the workload’s, else the namespace’s, else the mesh’s', async (t) => {
  t.strictSame(attached({ mesh: 'STRICT' }).names, [STATIC])
  t.strictSame(attached({ mesh: 'STRICT', namespace: 'PERMISSIVE' }).names, [])
  t.strictSame(attached({ mesh: 'STRICT', namespace: 'UNSET' }).names, [STATIC])
  t.strictSame(attached({ mesh: 'STRICT', workload: 'DISABLE' }).names, [])
  t.strictSame(attached({ namespace: 'STRICT' }).names, [STATIC])
  t.strictSame(attached({ workload: 'STRICT' }).names, [STATIC])
  t.strictSame(attached({ mesh: 'PERMISSIVE' }).names, [])
})

t.test('ports that differ from the mode have a policy of their own', async (t) => {
  t.strictSame(attached({ workload: 'STRICT', ports: '80: {mode: STRICT}' }).names, [STATIC])
  t.strictSame(attached({ workload: 'STRICT', ports: '80: {mode: PERMISSIVE}' }), {
    names: [CONVERTED],
    rules: exempt(80),
  })
  t.strictSame(attached({ workload: 'PERMISSIVE', ports: '80: {mode: STRICT}' }), {
    names: [CONVERTED],
    rules: strictPort(80),
  })
  t.strictSame(attached({ ports: '80: {mode: STRICT}' }), { names: [CONVERTED], rules: strictPort(80) })
  t.strictSame(attached({ mesh: 'STRICT', ports: '80: {mode: PERMISSIVE}' }), {
    names: [CONVERTED],
    rules: exempt(80),
  })
  t.strictSame(attached({ mesh: 'STRICT', ports: '80: {mode: STRICT}' }).names, [STATIC])
  t.strictSame(attached({ mesh: 'STRICT', ports: '80: {mode: DISABLE}' }).rules, exempt(80), 'unlike istiod')
  t.strictSame(
    attached({ mesh: 'STRICT', workload: 'PERMISSIVE', ports: '80: {mode: STRICT}' }),
    { names: [CONVERTED], rules: strictPort(80) },
    'unlike istiod, which leaves the port open',
  )
})

t.test('the static policy is there as soon as there is any PeerAuthentication', async (t) => {
  const { policies } = meshOf(
    'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: x, namespace: foo}\n',
  )
  t.match(policies, [
    {
      namespace: 'istio-system',
      name: 'istio_converted_static_strict',
      action: 'DENY',
      scope: 'WORKLOAD_SELECTOR',
    },
  ])
  t.strictSame(policies[0]?.rules, [[[ANONYMOUS]]])
  t.strictSame(meshOf(podYaml('a')).policies, [])
})
