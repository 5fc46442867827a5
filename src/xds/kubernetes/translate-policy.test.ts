import t from 'tap'
import type { AuthorizationPolicy, PolicyMatch } from '../../mesh/model.ts'
import { aMatch } from '../../mesh/test-support.ts'
import { meshOf, podYaml, policyYaml } from './test-support.ts'

/** The rules of `foo/p` with this spec, and what was warned of. */
function rulesOf(spec: string): { rules: AuthorizationPolicy['rules'] | undefined; warnings: string[] } {
  const { policies, warnings } = meshOf(policyYaml(spec) + podYaml('a'))
  return { rules: policies[0]?.rules, warnings: warnings.map(({ field, message }) => `${field}: ${message}`) }
}

const EMPTY: PolicyMatch = aMatch({})

t.test('every L4 field has its place: operations, then sources, then one clause per condition', async (t) => {
  const { rules, warnings } = rulesOf(`
  rules:
  - from:
    - source: {principals: [td/ns/a/sa/b, "*"], notPrincipals: ["td/*"], namespaces: ["*-prod"], notNamespaces: [x]}
    - source: {serviceAccounts: [sa, other/sa], notServiceAccounts: [bad], ipBlocks: [10.0.0.0/8, 10.0.0.1], notIpBlocks: ["fd00::1"]}
    to:
    - operation: {ports: ["80", "81"], notPorts: ["82"]}
    - operation: {ports: ["90"]}
    when:
    - {key: source.namespace, values: [a], notValues: [b]}
    - {key: source.principal, values: [p]}
    - {key: source.ip, values: [1.2.3.4]}
    - {key: destination.ip, notValues: [10.0.0.0/24]}
    - {key: destination.port, values: ["443"], notValues: ["444"]}`)
  t.strictSame(warnings, [])
  t.strictSame(rules, [
    [
      [aMatch({ destinationPorts: [80, 81], notDestinationPorts: [82] }), aMatch({ destinationPorts: [90] })],
      [
        aMatch({
          principals: [{ kind: 'exact', value: 'td/ns/a/sa/b' }, { kind: 'presence' }],
          notPrincipals: [{ kind: 'prefix', value: 'td/' }],
          namespaces: [{ kind: 'suffix', value: '-prod' }],
          notNamespaces: [{ kind: 'exact', value: 'x' }],
        }),
        aMatch({
          serviceAccounts: [
            { namespace: 'foo', serviceAccount: 'sa' },
            { namespace: 'other', serviceAccount: 'sa' },
          ],
          notServiceAccounts: [{ namespace: 'foo', serviceAccount: 'bad' }],
          sourceIps: ['10.0.0.0/8', '10.0.0.1/32'],
          notSourceIps: ['fd00::1/128'],
        }),
      ],
      [
        aMatch({
          namespaces: [{ kind: 'exact', value: 'a' }],
          notNamespaces: [{ kind: 'exact', value: 'b' }],
        }),
      ],
      [aMatch({ principals: [{ kind: 'exact', value: 'p' }] })],
      [aMatch({ sourceIps: ['1.2.3.4/32'] })],
      [aMatch({ notDestinationIps: ['10.0.0.0/24'] })],
      [aMatch({ destinationPorts: [443], notDestinationPorts: [444] })],
    ],
  ])
})

t.test('an ALLOW rule that asks for L7 vanishes, and the policy still stands', async (t) => {
  for (const rule of [
    '{to: [{operation: {methods: [GET]}}]}',
    '{to: [{operation: {ports: ["80"], paths: ["/x"]}}]}',
    '{to: [{operation: {notHosts: [x]}}]}',
    '{from: [{source: {requestPrincipals: ["*"]}}]}',
    '{from: [{source: {namespaces: [a], remoteIpBlocks: [10.0.0.0/8]}}]}',
    '{from: [{source: {trustDomains: [other]}}]}',
    '{when: [{key: "request.headers[x]", values: [a]}]}',
  ]) {
    const { rules, warnings } = rulesOf(`{rules: [${rule}]}`)
    t.strictSame(rules, [], rule)
    t.match(warnings, [/^spec\.rules\[0\]\..*: not visible at L4: the whole rule is left out/], rule)
  }
  t.strictSame(
    rulesOf('{rules: [{to: [{operation: {methods: [GET]}}]}, {}]}').rules,
    [[]],
    'the other rules stay',
  )
})

t.test('a DENY rule loses what is L7, and one that is left with nothing never fires', async (t) => {
  const stricter = rulesOf('{action: DENY, rules: [{to: [{operation: {ports: ["80"], paths: ["/admin"]}}]}]}')
  t.strictSame(stricter.rules, [[[aMatch({ destinationPorts: [80] })]]])
  t.match(stricter.warnings, [/^spec\.rules\[0\]\.to\[0\]\.operation\.paths: not visible at L4: left out/])
  const noop = rulesOf(
    '{action: DENY, rules: [{from: [{source: {namespaces: [x]}}], to: [{operation: {paths: ["/admin"]}}]}]}',
  )
  t.strictSame(noop.rules, [[[EMPTY], [aMatch({ namespaces: [{ kind: 'exact', value: 'x' }] })]]])
  t.match(noop.warnings, [/paths/, /^spec\.rules\[0\]: never denies anything/])
  const header = rulesOf('{action: DENY, rules: [{when: [{key: "request.headers[x]", values: [a]}]}]}')
  t.strictSame(header.rules, [[[EMPTY]]])
  t.match(header.warnings, [/when\[0\].key/, /never denies anything/])
})

t.test('empty forms mean what they mean in Istio', async (t) => {
  t.strictSame(rulesOf('{}').rules, [], 'no rules: nothing is allowed')
  t.strictSame(rulesOf('').rules, [], 'no spec: the same')
  t.strictSame(rulesOf('{rules: [{}]}').rules, [[]], 'a rule without clauses: everything is allowed')
  t.strictSame(rulesOf('{action: DENY, rules: [{}]}').rules, [[]], 'everything is denied')
})

t.test('what is not for node proxies is not sent, and said so', async (t) => {
  const target = '{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}'
  for (const spec of [
    `{targetRefs: [${target}]}`,
    `{targetRef: ${target}}`,
    '{action: AUDIT}',
    '{action: CUSTOM}',
  ]) {
    const { rules, warnings } = rulesOf(spec)
    t.equal(rules, undefined, spec)
    t.equal(warnings.length, 1, spec)
  }
  const dryRun = policyYaml('{}', '{name: p, namespace: foo, annotations: {istio.io/dry-run: "true"}}')
  t.strictSame(meshOf(dryRun).policies, [])
  t.match(meshOf(dryRun, { dryRunPolicies: true }).policies, [{ name: 'p', dryRun: true }])
})

t.test('a policy has the scope of where it stands, and selectors name it on their workloads', async (t) => {
  const { policies, workloads } = meshOf(
    policyYaml('{}') +
      policyYaml('{}', '{name: mesh, namespace: istio-system}') +
      policyYaml('{selector: {matchLabels: {app: a}}}', '{name: z, namespace: foo}') +
      policyYaml('{selector: {matchLabels: {app: a}}}', '{name: root, namespace: istio-system}') +
      policyYaml('{selector: {matchLabels: {app: a}}}', '{name: elsewhere, namespace: bar}') +
      policyYaml('{selector: {}}', '{name: none, namespace: foo}') +
      podYaml('a') +
      podYaml('b'),
  )
  t.strictSame(
    policies.map(({ namespace, name, scope }) => `${namespace}/${name} ${scope}`),
    [
      'bar/elsewhere WORKLOAD_SELECTOR',
      'foo/none NAMESPACE',
      'foo/p NAMESPACE',
      'foo/z WORKLOAD_SELECTOR',
      'istio-system/mesh GLOBAL',
      'istio-system/root WORKLOAD_SELECTOR',
    ],
  )
  t.match(workloads, [
    { name: 'a', authorizationPolicies: ['foo/z', 'istio-system/root'] },
    { name: 'b', authorizationPolicies: [] },
  ])
})

t.test('a policy over nobody, as a mistyped label or namespace makes it, is told of', async (t) => {
  const { warnings } = meshOf(
    policyYaml('{selector: {matchLabels: {app: aa}}}', '{name: s, namespace: foo}') +
      policyYaml('{}', '{name: p, namespace: fooo}') +
      policyYaml('{}') +
      policyYaml('{selector: {matchLabels: {app: a}}}', '{name: q, namespace: foo}') +
      policyYaml('{}', '{name: mesh, namespace: istio-system}') +
      podYaml('a'),
  )
  t.match(
    warnings.map(({ field, message }) => `${field}: ${message}`),
    [
      /^spec.selector.matchLabels: no pod has these labels at present/,
      /^metadata.namespace: there is no pod in namespace fooo at present/,
    ],
  )
  t.equal(warnings.length, 2)
})
