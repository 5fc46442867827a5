import t from 'tap'
import { parseFile } from './parse.ts'
import { formatProblem } from './problem.ts'
import { policyYaml } from './test-support.ts'

function problems(text: string): readonly string[] {
  return parseFile('a.yaml', text).problems.map((problem) => `${problem.severity} ${formatProblem(problem)}`)
}

t.test('a problem names file, line, column, field and what was expected', async (t) => {
  const pod = `apiVersion: v1
kind: Pod
metadata:
  name: sleep
  labels:
    sidecar.istio.io/inject: true
spec:
  containers:
  - name: c
    ports:
    - containerPort: 123456
status:
  podIP: 10.0.0.300
`
  t.strictSame(problems(pod), [
    'error a.yaml:6:5: metadata.labels["sidecar.istio.io/inject"]: expected text: put quotes around it',
    'error a.yaml:11:7: spec.containers[0].ports[0].containerPort: expected a port number from 1 to 65535',
    'error a.yaml:13:3: status.podIP: expected an IPv4 or IPv6 address, got "10.0.0.300"',
  ])
  t.match(problems('apiVersion: v1\nkind: Pod\nspec: {}\n'), [
    /^error a.yaml:1:1: metadata: expected metadata/,
  ])
  t.match(problems('a: 1\n---\nb: [\n'), [/a.yaml:1:1: kind: expected/, /^error a.yaml:\d:\d: .*sequence/])
  t.match(problems('- 1\n'), [/expected a Kubernetes object/])
  t.match(problems('a: 1\na: 2\n'), [/unique/])
})

t.test('a mistyped field of a policy is an error, a strange field of a pod is not', async (t) => {
  const typo = policyYaml('{rules: [{from: [{source: {principal: ["x"], namespaces: ["y"]}}]}]}')
  t.match(problems(typo), [/^error a.yaml:5:34: spec.rules\[0\].from\[0\].source.principal: unknown field/])
  t.match(problems(policyYaml('{rule: []}')), [/spec.rule: unknown field/])
  t.match(problems(`${policyYaml('{}')}extra: 1\n`), [/extra: unknown field/])
  const pod = `apiVersion: v1
kind: Pod
metadata: {name: a, managedFields: [{manager: kubectl}], uid: x}
spec: {terminationGracePeriodSeconds: 30, containers: [{name: c, resources: {limits: {cpu: 1}}}], tolerations: []}
status: {qosClass: BestEffort, podIP: 10.0.0.1, hostIP: 10.1.0.1}
`
  t.strictSame(problems(pod), [])
})

t.test('a policy that cannot mean what it says is an error', async (t) => {
  const cases: readonly [string, RegExp][] = [
    ['{action: DENY}', /denies nothing/],
    ['{action: deny, rules: [{}]}', /expected ALLOW, DENY/],
    ['{rules: [{from: []}]}', /at least one source/],
    ['{rules: [{from: [{source: {}}]}]}', /empty source would never match/],
    ['{rules: [{to: [{operation: {}}]}]}', /empty operation would never match/],
    ['{rules: [{from: [{source: {namespaces: []}}]}]}', /at least one value/],
    ['{rules: [{to: [{operation: {ports: [80]}}]}]}', /port number in quotes/],
    ['{rules: [{to: [{operation: {ports: ["http"]}}]}]}', /port number/],
    ['{rules: [{from: [{source: {ipBlocks: ["10.0.0.0/99"]}}]}]}', /CIDR/],
    ['{rules: [{from: [{source: {serviceAccounts: ["a/b/c"]}}]}]}', /namespace\/service-account/],
    ['{rules: [{from: [{source: {serviceAccounts: ["a"], namespaces: ["b"]}}]}]}', /cannot be combined/],
    ['{rules: [{when: [{key: source.ip}]}]}', /values or notValues/],
    ['{rules: [{when: [{key: source.ip, values: ["x"]}]}]}', /rules\[0\].when\[0\].values\[0\].*got "x"/],
  ]
  for (const [spec, expected] of cases) t.match(problems(policyYaml(spec)).join('\n'), expected, spec)
})

t.test('lists, several documents and empty ones are read; other kinds are named and ignored', async (t) => {
  const text = `---
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: foo}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: sa}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}
- {apiVersion: v1, kind: Pod, metadata: {name: A_B}, spec: {}}
`
  const parsed = parseFile('a.yaml', text)
  t.match(parsed.objects, [{ object: { kind: 'Namespace', metadata: { name: 'foo' } }, line: 6 }])
  t.match(problems(text), [
    /^warning a.yaml:8:\d+: items\[2\].kind: apps\/v1\/Deployment is not read here/,
    /^error a.yaml:9:\d+: items\[3\].metadata.name: expected a DNS name/,
  ])
})

t.test('anchors cannot be made to fill the memory', async (t) => {
  let bomb = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n'
  for (let i = 1; i < 12; i++)
    bomb += `a${i}: &a${i} [${Array(10)
      .fill(`*a${i - 1}`)
      .join(', ')}]\n`
  t.match(problems(bomb), [/^error a.yaml:1:1: not usable YAML: .*[Rr]esource exhaustion/])
})

t.test('a policy of a mistyped kind, version or namespace is an error, not a mesh without it', async (t) => {
  const kind = policyYaml('{}').replace('kind: AuthorizationPolicy', 'kind: AuthorizationPolcy')
  t.match(problems(kind), [/^error a.yaml:3:1: kind: .*AuthorizationPolcy is no policy that is known here/])
  for (const apiVersion of [
    'security.istio.io/v1alpha1',
    'security.istio.io',
    'v1',
    'secruity.istio.io/v1',
  ]) {
    const version = policyYaml('{}').replace('security.istio.io/v1', apiVersion)
    t.match(problems(version), [/^error .*is no policy that is known here/], apiVersion)
  }
  t.match(problems(policyYaml('{}', '{name: p, namepsace: foo}')), [
    /^error .*metadata.namepsace: unknown field/,
  ])
  t.match(problems('apiVersion: v1\nkind: Pod\nmetadata: {name: a, lables: {app: a}}\nspec: {}\n'), [
    /^error .*metadata.lables: unknown field/,
  ])
  const l7 = policyYaml('{}').replace('AuthorizationPolicy', 'RequestAuthentication')
  t.match(problems(l7), [/^warning .*has no effect/])
})

t.test('a file that is no YAML at all has a bounded number of problems', async (t) => {
  for (const text of ['{a: '.repeat(5000), '['.repeat(20_000), 'x: y: z\n---\n'.repeat(1000)]) {
    const found = problems(text)
    t.equal(found.length, 101)
    t.match(found.at(-1), /^error a.yaml: \d+ problems more/)
  }
})

t.test('a block of addresses that readers take differently is an error', async (t) => {
  for (const block of [
    '10.8/16',
    '010.0.0.0/8',
    '0x0a.0.0.0/8',

    '10.0.0.0/33',
    'fe80::1%eth0',
  ]) {
    const policy = policyYaml(`{rules: [{from: [{source: {ipBlocks: ["${block}"]}}]}]}`)
    t.match(problems(policy), [/expected an IP address or a CIDR block/], block)
  }
  for (const block of ['10.0.0.0/8', '10.0.0.1', 'fd00::/8', '::1']) {
    t.strictSame(problems(policyYaml(`{rules: [{from: [{source: {ipBlocks: ["${block}"]}}]}]}`)), [], block)
  }
})

t.test('a target reference names a kind and an object, and excludes a selector', async (t) => {
  const cases: readonly [string, RegExp][] = [
    ['{targetRefs: [{kind: Service}]}', /targetRefs\[0\].name: /],
    ['{targetRefs: [{name: a}]}', /targetRefs\[0\].kind: expected text/],
    ['{targetRef: {kind: Service, name: a, sectionName: b}}', /targetRef.sectionName: unknown field/],
    ['{targetRef: {kind: Service, name: a}, selector: {matchLabels: {a: b}}}', /exclude each other/],
  ]
  for (const [spec, expected] of cases) t.match(problems(policyYaml(spec)), [expected], spec)
  const { objects } = parseFile('a.yaml', policyYaml('{targetRefs: [{group: core, kind: Service, name: a}]}'))
  t.match(objects, [{ object: { spec: { targetRefs: [{ group: '', kind: 'Service', name: 'a' }] } } }])
})

t.test('what is not read further is known by name', async (t) => {
  const yaml = `apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: foo}
---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: b}\n`
  t.strictSame(parseFile('a.yaml', yaml).others, [
    { group: '', kind: 'ServiceAccount', namespace: 'foo', name: 'a' },
    { group: 'networking.istio.io', kind: 'VirtualService', namespace: 'default', name: 'b' },
  ])
})
