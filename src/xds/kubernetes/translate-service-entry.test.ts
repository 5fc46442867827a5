import t from 'tap'
import { parseFile } from './parse.ts'
import { meshOf, podYaml, policyYaml } from './test-support.ts'

function entry(spec: string, metadata = 'name: ext, namespace: foo'): string {
  return `---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {${metadata}}\nspec: {${spec}}\n`
}

function workloadEntry(spec: string, metadata = 'name: vm, namespace: foo'): string {
  return `---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {${metadata}}\nspec: {${spec}}\n`
}

const PORTS = 'ports: [{number: 80, name: http, protocol: HTTP}, {number: 5432, name: db, targetPort: 15432}]'

t.test('a STATIC entry becomes services at its addresses and a workload per endpoint', async (t) => {
  const { services, workloads, warnings } = meshOf(
    entry(
      `hosts: [a.example, B.example], addresses: [240.1.1.1, 10.9.8.7/16, "fd00::/64"], ${PORTS}, resolution: STATIC,
       subjectAltNames: ["spiffe://cluster.local/ns/x/sa/y"],
       endpoints: [{address: 192.0.2.1, ports: {http: 8080}, locality: r/z, weight: 3, labels: {app: ext, version: v2}}, {address: 192.0.2.2, network: far}]`,
    ),
  )
  t.match(services, [
    {
      name: 'ext',
      namespace: 'foo',
      hostname: 'a.example',
      addresses: [{ network: '', address: '240.1.1.1' }],
      cidrs: [
        { network: '', cidr: '10.9.0.0/16' },
        { network: '', cidr: 'fd00::/64' },
      ],
      ports: [
        { servicePort: 80, targetPort: 80, appProtocol: 'HTTP11' },
        { servicePort: 5432, targetPort: 15432, appProtocol: 'TCP' },
      ],
      subjectAltNames: ['spiffe://cluster.local/ns/x/sa/y'],
      loadBalancing: { mode: 'STANDARD', healthPolicy: 'ONLY_HEALTHY' },
      canonical: true,
    },
    { hostname: 'b.example' },
  ])
  t.match(workloads, [
    {
      uid: 'Kubernetes/networking.istio.io/ServiceEntry/foo/ext/192.0.2.1',
      addresses: ['192.0.2.1'],
      hostname: '',
      tunnelProtocol: 'NONE',
      canonicalName: 'ext',
      canonicalRevision: 'v2',
      locality: { region: 'r', zone: 'z', subzone: '' },
      capacity: 3,
      serviceAccount: '',
    },
    { uid: 'Kubernetes/networking.istio.io/ServiceEntry/foo/ext/192.0.2.2', network: 'far', capacity: 1 },
  ])
  t.strictSame([...(workloads[0]?.services.keys() ?? [])], ['foo/a.example', 'foo/b.example'])
  t.match(workloads[0]?.services.get('foo/b.example'), [{ targetPort: 8080 }, { targetPort: 15432 }])
  t.strictSame(warnings, [])
})

t.test('resolution NONE delivers to the address dialled, whatever its health', async (t) => {
  const { services, workloads } = meshOf(entry(`hosts: [a.example], addresses: [192.0.2.0/24], ${PORTS}`))
  t.match(services, [{ loadBalancing: { mode: 'PASSTHROUGH', healthPolicy: 'ALLOW_ALL' } }])
  t.strictSame(workloads, [])
})

t.test('resolution DNS makes a workload to be resolved of each host, or of each endpoint', async (t) => {
  const implicit = meshOf(
    entry(`hosts: [a.example, b.example], addresses: [240.1.1.1], ${PORTS}, resolution: DNS`),
  )
  t.match(implicit.workloads, [
    { hostname: 'a.example', addresses: [] },
    { hostname: 'b.example', addresses: [] },
  ])
  t.strictSame(
    implicit.workloads.map(({ services }) => [...services.keys()]),
    [['foo/a.example'], ['foo/b.example']],
  )
  const explicit = `hosts: [a.example], ${PORTS}, resolution: DNS, endpoints: [{address: X.example}, {address: 192.0.2.1}]`
  t.match(meshOf(entry(explicit)).workloads, [
    { hostname: 'x.example', addresses: [] },
    { hostname: '', addresses: ['192.0.2.1'] },
  ])
})

t.test('virtual addresses that istiod allocated are taken from the status, each for its host', async (t) => {
  const status =
    'status: {addresses: [{value: 240.240.0.1, host: a.example}, {value: 240.240.0.2, host: b.example}]}\n'
  const { services } = meshOf(entry('hosts: [a.example, b.example], resolution: DNS') + status)
  t.match(services, [
    { hostname: 'a.example', addresses: [{ address: '240.240.0.1' }] },
    { hostname: 'b.example', addresses: [{ address: '240.240.0.2' }] },
  ])
  t.match(meshOf(entry('hosts: [a.example], resolution: DNS')).warnings, [{ field: 'spec.addresses' }])
})

t.test(
  'a selector makes endpoints of pods and WorkloadEntries of the namespace, ports by name',
  async (t) => {
    const { workloads, warnings } = meshOf(
      entry(
        `hosts: [a.example], addresses: [240.1.1.1], ${PORTS}, resolution: STATIC, workloadSelector: {labels: {app: a}}`,
      ) +
        podYaml('a', ', containers: [{name: c, ports: [{name: http, containerPort: 8081}]}]') +
        podYaml('b') +
        workloadEntry('address: 192.0.2.9, labels: {app: a}, ports: {http: 8082}, serviceAccount: vm-sa') +
        workloadEntry('address: 192.0.2.9, labels: {app: a}', 'name: vm, namespace: bar'),
    )
    const ports = (uid: string) =>
      workloads
        .find((workload) => workload.uid === uid)
        ?.services.get('foo/a.example')
        ?.map(({ targetPort }) => targetPort)
    t.strictSame(ports('Kubernetes//Pod/foo/a'), [8081, 15432])
    t.strictSame(ports('Kubernetes//Pod/foo/b'), undefined)
    t.strictSame(ports('Kubernetes/networking.istio.io/WorkloadEntry/foo/vm'), [8082, 15432])
    t.strictSame(ports('Kubernetes/networking.istio.io/WorkloadEntry/bar/vm'), undefined)
    t.match(
      workloads.find(({ name, namespace }) => name === 'vm' && namespace === 'foo'),
      { addresses: ['192.0.2.9'], serviceAccount: 'vm-sa', status: 'HEALTHY', tunnelProtocol: 'NONE' },
    )
    t.strictSame(warnings, [])
  },
)

t.test('a WorkloadEntry serves the Services that select it, and policies hold for it', async (t) => {
  const service = `---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: foo}
spec: {clusterIP: 10.96.0.1, selector: {app: vm}, ports: [{port: 80, name: http, targetPort: web}, {port: 81, name: tcp}, {port: 82, targetPort: gone}]}
`
  const { workloads } = meshOf(
    service +
      policyYaml('{selector: {matchLabels: {app: vm}}}') +
      workloadEntry(
        'address: 192.0.2.9, ports: {web: 8080}, labels: {networking.istio.io/tunnel: http}',
        'name: vm, namespace: foo, labels: {app: vm}',
      ),
  )
  t.match(workloads, [
    { authorizationPolicies: ['foo/p'], tunnelProtocol: 'HBONE', nativeTunnel: true, capacity: 1 },
  ])
  t.match(workloads[0]?.services.get('foo/web.foo.svc.cluster.local'), [
    { servicePort: 80, targetPort: 8080 },
    { servicePort: 81, targetPort: 81 },
  ])
  t.equal(workloads[0]?.services.get('foo/web.foo.svc.cluster.local')?.length, 2)
})

t.test(
  'of two that claim a host in a namespace one wins, and over namespaces one is canonical',
  async (t) => {
    const service =
      '---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: foo}\nspec: {clusterIP: None}\n'
    const spec = 'addresses: [240.1.1.1], resolution: DNS'
    const { services, workloads, warnings } = meshOf(
      service +
        entry(`hosts: [web.foo.svc.cluster.local], ${spec}`, 'name: lost, namespace: foo') +
        entry(`hosts: [web.foo.svc.cluster.local], ${spec}`, 'name: other, namespace: bar') +
        entry(
          `hosts: [a.example], ${spec}`,
          'name: old, namespace: foo, creationTimestamp: "2020-01-01T00:00:00Z"',
        ) +
        entry(
          `hosts: [a.example], ${spec}`,
          'name: a-new, namespace: foo, creationTimestamp: "2021-01-01T00:00:00Z"',
        ),
    )
    t.strictSame(
      services.map(({ name, canonical }) => `${name} ${canonical}`),
      ['web true', 'other false', 'old true'],
    )
    t.strictSame(
      workloads.map(({ name }) => name),
      ['other', 'old'],
    )
    t.match(warnings, [
      { object: { metadata: { name: 'lost' } }, message: /is Service foo\/web's already/ },
      { object: { metadata: { name: 'a-new' } }, message: /is ServiceEntry foo\/old's already/ },
    ])
  },
)

t.test('entries are bound to waypoints as services and workloads are', async (t) => {
  const gateway = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress, namespace: foo, labels: {istio.io/waypoint-for: all}}
spec: {gatewayClassName: istio-waypoint}
status: {addresses: [{type: Hostname, value: egress.foo.svc.cluster.local}]}
`
  const { services, workloads } = meshOf(
    gateway +
      entry(
        'hosts: [a.example], addresses: [240.1.1.1], resolution: DNS',
        'name: ext, namespace: foo, labels: {istio.io/use-waypoint: egress}',
      ) +
      workloadEntry('address: 192.0.2.9, labels: {istio.io/use-waypoint: egress}'),
  )
  t.match(services, [{ waypoint: { hostname: 'egress.foo.svc.cluster.local' } }])
  t.match(workloads, [
    { name: 'vm', waypoint: { namespace: 'foo' } },
    { name: 'ext', waypoint: undefined },
  ])
})

t.test('what an entry cannot mean is an error', async (t) => {
  const cases: readonly [string, RegExp][] = [
    ['hosts: ["*.example"]', /spec.hosts\[0\]: wildcard hosts are not served here.*list the hosts/],
    ['hosts: ["a b"]', /expected a DNS name/],
    ['hosts: []', /at least one host/],
    ['hosts: [a.example], addresses: [10.0.0.0/99]', /CIDR block.*got "10.0.0.0\/99"/],
    ['hosts: [a.example], adresses: [10.0.0.1]', /spec.adresses: unknown field/],
    ['hosts: [a.example], resolution: static', /expected NONE, STATIC/],
    ['hosts: [a.example], resolution: STATIC, endpoints: [{address: x.example}]', /expects an IP address/],
    ['hosts: [a.example], resolution: DNS, endpoints: [{address: "unix:///x"}]', /Unix sockets/],
    ['hosts: [a.example], resolution: DNS, endpoints: [{network: far}]', /a network alone is not served/],
    ['hosts: [a.example], endpoints: [{address: 192.0.2.1}]', /cannot be used with resolution NONE/],
    [
      'hosts: [a.example], resolution: STATIC, endpoints: [{address: 192.0.2.1}], workloadSelector: {labels: {a: b}}',
      /cannot be combined/,
    ],
    ['hosts: [a.example], ports: [{number: 0, name: x}]', /port number/],
  ]
  for (const [spec, expected] of cases) {
    const { problems } = parseFile('a.yaml', entry(spec))
    t.match(problems.map(({ field, message }) => `${field}: ${message}`).join('\n'), expected, spec)
    t.match(problems[0]?.severity, 'error', spec)
  }
})
