import t from 'tap'
import type { WaypointPolicy } from '../../mesh/http/policy-model.ts'
import { aWaypointMatch } from '../../mesh/http/policy-test-support.ts'
import { parseFile } from './parse.ts'
import { meshOf, objectsOf, policyYaml } from './test-support.ts'
import { Translator } from './translate.ts'

const WAYPOINT = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: foo}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{value: 10.96.0.9}]}
`
const TARGET = 'targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: wp}]'

interface Translated {
  readonly policy: WaypointPolicy | undefined
  readonly warnings: readonly string[]
}

/** What `foo/p` with this spec, bound to a waypoint, becomes. */
function translated(spec: string, metadata?: string): Translated {
  const { waypointPolicies, policies, warnings } = meshOf(
    WAYPOINT + policyYaml(spec.startsWith('\n') ? `\n  ${TARGET}${spec}` : `{${TARGET}, ${spec}}`, metadata),
  )
  if (policies.length > 0) throw new Error('a node proxy would get it')
  return {
    policy: waypointPolicies[0],
    warnings: warnings.map(({ field, message }) => `${field}: ${message}`),
  }
}

const exact = (value: string) => ({ kind: 'exact', value }) as const
const prefix = (value: string) => ({ kind: 'prefix', value }) as const
const suffix = (value: string) => ({ kind: 'suffix', value }) as const
const presence = { kind: 'presence' } as const

t.test('every field has its place: operations, then sources, then one clause per condition', async (t) => {
  const { policy, warnings } = translated(`
  rules:
  - to:
    - operation: {hosts: [a.example, "*.b"], notHosts: [c], ports: ["80"], notPorts: ["81"]}
    - operation: {methods: [GET], notMethods: [PUT], paths: ["/x", "/y*", "*z", "*", "/a/{*}"], notPaths: ["/{**}"]}
    from:
    - source: {principals: [td/ns/a/sa/b], notPrincipals: ["*"], namespaces: [n], notNamespaces: [m]}
    - source: {serviceAccounts: [sa, other/sa], notServiceAccounts: [bad]}
    - source: {ipBlocks: [10.0.0.0/8], notIpBlocks: [10.0.0.1], remoteIpBlocks: [192.0.2.1], notRemoteIpBlocks: ["fd00::/8"]}
    - source: {trustDomains: [td], notTrustDomains: ["*x"]}
    when:
    - {key: "request.headers[X-Role]", values: [a, "b*"], notValues: [c]}
    - {key: source.ip, values: [1.2.3.4]}
    - {key: remote.ip, values: [1.2.3.4], notValues: [1.2.3.5]}
    - {key: source.namespace, values: [a]}
    - {key: source.principal, notValues: [p]}
    - {key: source.serviceAccount, values: [sa], notValues: [ns/bad]}
    - {key: destination.ip, values: [10.0.0.0/24]}
    - {key: destination.port, values: ["443"]}
    - {key: connection.sni, values: ["*.example"], notValues: [x]}`)
  t.strictSame(warnings, [])
  const account = (namespace: string, serviceAccount: string) => ({ namespace, serviceAccount })
  t.match(policy, { name: 'p', namespace: 'foo', action: 'ALLOW', dryRun: false })
  t.strictSame(policy?.rules, [
    [
      [
        aWaypointMatch({
          hosts: [exact('a.example'), suffix('.b')],
          notHosts: [exact('c')],
          destinationPorts: [80],
          notDestinationPorts: [81],
        }),
        aWaypointMatch({
          methods: [exact('GET')],
          notMethods: [exact('PUT')],
          paths: [exact('/x'), prefix('/y'), suffix('z'), presence, { kind: 'template', value: '/a/{*}' }],
          notPaths: [{ kind: 'template', value: '/{**}' }],
        }),
      ],
      [
        aWaypointMatch({
          principals: [exact('td/ns/a/sa/b')],
          notPrincipals: [presence],
          namespaces: [exact('n')],
          notNamespaces: [exact('m')],
        }),
        aWaypointMatch({
          serviceAccounts: [account('foo', 'sa'), account('other', 'sa')],
          notServiceAccounts: [account('foo', 'bad')],
        }),
        aWaypointMatch({
          sourceIps: ['10.0.0.0/8'],
          notSourceIps: ['10.0.0.1/32'],
          remoteIps: ['192.0.2.1/32'],
          notRemoteIps: ['fd00::/8'],
        }),
        aWaypointMatch({ trustDomains: [exact('td')], notTrustDomains: [suffix('x')] }),
      ],
      [
        aWaypointMatch({
          headers: [{ name: 'x-role', values: [exact('a'), prefix('b')], notValues: [exact('c')] }],
        }),
      ],
      [aWaypointMatch({ sourceIps: ['1.2.3.4/32'] })],
      [aWaypointMatch({ remoteIps: ['1.2.3.4/32'], notRemoteIps: ['1.2.3.5/32'] })],
      [aWaypointMatch({ namespaces: [exact('a')] })],
      [aWaypointMatch({ notPrincipals: [exact('p')] })],
      [
        aWaypointMatch({
          serviceAccounts: [account('foo', 'sa')],
          notServiceAccounts: [account('ns', 'bad')],
        }),
      ],
      [aWaypointMatch({ destinationIps: ['10.0.0.0/24'] })],
      [aWaypointMatch({ destinationPorts: [443] })],
      [aWaypointMatch({ serverNames: [suffix('.example')], notServerNames: [exact('x')] })],
    ],
  ])
})

t.test('what nothing here can judge by is kept by name, and said', async (t) => {
  const jwt: readonly (readonly [rule: string, field: RegExp, unsupported: readonly string[]])[] = [
    [
      '{from: [{source: {requestPrincipals: ["*"]}}]}',
      /^spec.rules\[0\].from\[0\].source.requestPrincipals: no JWT/,
      ['requestPrincipals'],
    ],
    [
      '{from: [{source: {notRequestPrincipals: ["*"]}}]}',
      /source.notRequestPrincipals: no JWT/,
      ['notRequestPrincipals'],
    ],
    [
      '{when: [{key: "request.auth.claims[iss]", values: [a]}]}',
      /^spec.rules\[0\].when\[0\].key: no JWT/,
      ['request.auth.claims[iss]'],
    ],
    [
      '{when: [{key: request.auth.principal, values: [a]}]}',
      /no JWT is verified here/,
      ['request.auth.principal'],
    ],
    [
      '{when: [{key: "experimental.envoy.filters.x[a]", values: [b]}]}',
      /experimental.* is not known here/,
      ['experimental.envoy.filters.x[a]'],
    ],
    ['{when: [{key: request.header, values: [b]}]}', /request.header is not known here/, ['request.header']],
  ]
  for (const [rule, warning, unsupported] of jwt) {
    const allow = translated(`rules: [${rule}]`)
    t.strictSame(allow.policy?.rules, [[[aWaypointMatch({ unsupported })]]], rule)
    t.match(allow.warnings, [warning], rule)
    t.match(allow.warnings, [/never matches, and is not allowed by it$/], rule)
    const deny = translated(`action: DENY, rules: [${rule}]`)
    t.strictSame(deny.policy?.rules, [[[aWaypointMatch({ unsupported })]]], rule)
    t.match(deny.warnings, [/left out of the rule, which denies the more$/], rule)
  }
})

t.test('actions', async (t) => {
  const rules = 'rules: [{to: [{operation: {paths: [/x]}}]}]'
  t.match(translated(`action: DENY, ${rules}`), { policy: { action: 'DENY' }, warnings: [] })
  t.match(translated(`action: AUDIT, ${rules}`), {
    policy: undefined,
    warnings: [/^spec.action: AUDIT: nothing here audits, the policy has no effect/],
  })
  t.match(translated(`action: CUSTOM, provider: {name: x}, ${rules}`), {
    policy: { action: 'DENY', rules: [[[{ paths: [exact('/x')] }]]] },
    warnings: [/^spec.action: CUSTOM: no external authorizer is asked here; what the rules match is denied/],
  })
  const metadata = '{name: p, namespace: foo, annotations: {istio.io/dry-run: "true"}}'
  t.match(translated(rules, metadata), { policy: { dryRun: true }, warnings: [] })
})

t.test('empty forms mean what they mean in Istio', async (t) => {
  t.strictSame(translated('').policy?.rules, [], 'no rules: nothing is allowed')
  t.strictSame(translated('rules: [{}]').policy?.rules, [[]], 'everything is allowed')
})

t.test('principals of an alias of the trust domain', async (t) => {
  const mesh = `---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomainAliases: [old]
`
  const rules = 'rules: [{from: [{source: {principals: [old/ns/a/sa/b]}}]}]'
  const { waypointPolicies } = meshOf(WAYPOINT + mesh + policyYaml(`{${TARGET}, ${rules}}`))
  t.match(waypointPolicies[0]?.rules, [
    [[{ principals: [exact('cluster.local/ns/a/sa/b'), exact('old/ns/a/sa/b')] }]],
  ])
})

t.test('what cannot be right is refused where it stands', async (t) => {
  const problems = (rule: string) => {
    const { problems } = parseFile('p.yaml', policyYaml(`{${TARGET}, rules: [${rule}]}`))
    return problems.map(({ severity, line, field, message }) => `${severity} ${line} ${field}: ${message}`)
  }
  t.match(problems('{to: [{operation: {paths: ["/a", "/{**}/{*}"]}}]}'), [
    /^error 5 spec.rules\[0\].to\[0\].operation.paths\[1\]: path template "\/\{\*\*\}\/\{\*\}": \{\*\*\} must be the last/,
  ])
  t.match(problems('{to: [{operation: {notPaths: ["/x{*}"]}}]}'), [/notPaths\[0\]: path template/])
  t.match(problems('{when: [{key: remote.ip, values: [nonsense]}]}'), [
    /expected an IP address or a CIDR block/,
  ])
})

t.test('a policy that says what it said before is the same object', async (t) => {
  const text = WAYPOINT + policyYaml(`{${TARGET}, rules: [{}]}`)
  const translator = new Translator({ clusterId: 'Kubernetes' })
  const [first] = translator.translate(objectsOf(text)).waypointPolicies
  const [second] = translator.translate(objectsOf(text)).waypointPolicies
  t.ok(first !== undefined && first === second)
})
