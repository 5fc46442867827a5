import t from 'tap'
import { meshOf, podYaml } from './test-support.ts'

function service(spec: string): string {
  return `---\napiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: foo}\nspec: {clusterIP: 10.96.0.1, ${spec}}\n`
}

function slice(fields: string, labels = '{kubernetes.io/service-name: api}'): string {
  return `---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: api-1, namespace: foo, labels: ${labels}}\n${fields}\n`
}

const SERVICE = service(
  'ports: [{name: https, port: 443, targetPort: 6443}, {name: dns, port: 53, protocol: UDP}]',
)
const PORTS = 'ports: [{name: https, port: 6443}, {name: dns, port: 53, protocol: UDP}]'
const KEY = 'foo/api.foo.svc.cluster.local'
const HTTPS = [{ servicePort: 443, targetPort: 6443, appProtocol: 'TLS' }]

t.test('addresses that a slice gives are plain endpoints of which nothing is known', async (t) => {
  const fields = `addressType: IPv4\n${PORTS}
endpoints:
- {addresses: [192.0.2.1, 192.0.2.2], zone: z, nodeName: n}
- {addresses: [192.0.2.3], conditions: {ready: false}}
- {addresses: [192.0.2.1]}`
  const { workloads, warnings } = meshOf(SERVICE + slice(fields))
  t.strictSame(warnings, [])
  t.equal(workloads.length, 2)
  t.strictSame(workloads[0], {
    uid: 'Kubernetes/discovery.k8s.io/EndpointSlice/foo/api-1/192.0.2.1',
    name: 'api-1',
    namespace: 'foo',
    serviceAccount: '',
    trustDomain: 'cluster.local',
    addresses: ['192.0.2.1', '192.0.2.2'],
    hostname: '',
    network: '',
    node: '',
    clusterId: 'Kubernetes',
    tunnelProtocol: 'NONE',
    nativeTunnel: false,
    applicationTunnel: undefined,
    waypoint: undefined,
    networkGateway: undefined,
    networkMode: 'HOST_NETWORK',
    workloadName: 'api-1',
    workloadType: 'POD',
    canonicalName: 'api-1',
    canonicalRevision: 'latest',
    services: new Map([[KEY, HTTPS]]),
    authorizationPolicies: [],
    status: 'HEALTHY',
    locality: { region: '', zone: '', subzone: '' },
    capacity: 1,
  })
  t.match(workloads[1], { addresses: ['192.0.2.3'], status: 'UNHEALTHY' })
})

t.test(
  'a pod in a slice is an endpoint of a service without selector, and its workload is its own',
  async (t) => {
    const fields = `addressType: IPv4\n${PORTS}\nendpoints: [{addresses: [10.0.0.1], targetRef: {kind: Pod, name: a}}]`
    const { workloads, warnings } = meshOf(SERVICE + slice(fields) + podYaml('a'))
    t.strictSame(warnings, [])
    t.match(workloads, [{ uid: 'Kubernetes//Pod/foo/a', services: new Map([[KEY, HTTPS]]) }])
    t.equal(workloads.length, 1)
    const selecting = service('selector: {app: other}, ports: [{name: https, port: 443}]')
    t.equal(meshOf(selecting + slice(fields) + podYaml('a')).workloads[0]?.services.size, 0)
  },
)

t.test('a slice that leads nowhere is told of', async (t) => {
  const address = 'endpoints: [{addresses: [192.0.2.1]}]'
  const v4 = `addressType: IPv4\n${PORTS}\n${address}`
  const cases: readonly [string, string, RegExp][] = [
    [SERVICE + slice(v4, '{}'), 'metadata.labels', /has no kubernetes.io\/service-name/],
    [slice(v4), 'metadata.labels["kubernetes.io/service-name"]', /there is no Service foo\/api/],
    [
      SERVICE + slice('addressType: FQDN\nendpoints: [{addresses: [a.example]}]'),
      'addressType',
      /hostnames are not looked up/,
    ],
    [
      SERVICE + slice(`addressType: IPv4\nports: [{name: http, port: 80}]\n${address}`),
      'ports[0].name',
      /no TCP port named "http"/,
    ],
    [
      SERVICE +
        slice(
          `addressType: IPv4\n${PORTS}\nendpoints: [{addresses: [10.0.0.1], targetRef: {kind: Pod, name: a}}]`,
        ),
      'endpoints[0].targetRef',
      /there is no Pod foo\/a/,
    ],
  ]
  for (const [yaml, field, message] of cases) t.match(meshOf(yaml).warnings, [{ field, message }], field)
})

t.test('an address of another family than the slice’s is an error', async (t) => {
  for (const [type, address] of [
    ['IPv4', 'fd00::1'],
    ['IPv6', '10.0.0.1'],
    ['IPv4', 'a.example'],
    ['FQDN', 'a b'],
  ]) {
    const yaml = SERVICE + slice(`addressType: ${type}\nendpoints: [{addresses: ["${address}"]}]`)
    t.throws(
      () => meshOf(yaml),
      /endpoints\[0\].addresses\[0\].*expected an address of type/,
      `${type} ${address}`,
    )
  }
  t.throws(() => meshOf(slice('addressType: ipv4')), /expected IPv4, IPv6 or FQDN/)
  t.throws(() => meshOf(slice('addressType: IPv4\nendpoints: [{addresses: []}]')), /at least one address/)
})
