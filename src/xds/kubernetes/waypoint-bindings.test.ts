import t from 'tap'
import { meshOf, podYaml } from './test-support.ts'
import type { MeshResources } from './translate.ts'

/** Flow-style labels and what else stands in metadata. */
function gateway(name: string, fields: { meta?: string; spec?: string; status?: string; ns?: string } = {}) {
  return `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: ${fields.ns ?? 'foo'}${fields.meta ?? ''}}
spec: {gatewayClassName: istio-waypoint, ${fields.spec ?? 'listeners: [{name: mesh, port: 15008, protocol: HBONE}]'}}
status: {addresses: [${fields.status ?? `{type: Hostname, value: ${name}.example}`}]}
`
}

const FOR_ALL = { meta: ', labels: {istio.io/waypoint-for: all}' }

function namespace(name: string, labels: string): string {
  return `---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {${labels}}}\n`
}

function service(name: string, labels = '', ns = 'foo'): string {
  return `---\napiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: ${ns}, labels: {${labels}}}\nspec: {clusterIP: None}\n`
}

function pod(name: string, labels = ''): string {
  return podYaml(name).replace(`labels: {app: ${name}`, `labels: {app: ${name}${labels}`)
}

/** The hostname of the waypoint, by the object's name. */
function waypoints({ services, workloads }: MeshResources): Record<string, string | undefined> {
  const entries = [...services, ...workloads].map(({ name, waypoint }): [string, string | undefined] => [
    name,
    waypoint?.kind === 'hostname' ? waypoint.hostname : waypoint?.address,
  ])
  return Object.fromEntries(entries)
}

t.test('an object’s own label wins over its namespace’s, `none` too', async (t) => {
  const mesh = meshOf(
    namespace('foo', 'istio.io/use-waypoint: ns') +
      gateway('ns', FOR_ALL) +
      gateway('own', FOR_ALL) +
      pod('inherits') +
      pod('names', ', istio.io/use-waypoint: own') +
      pod('refuses', ', istio.io/use-waypoint: none') +
      service('svc') +
      service('svc-none', 'istio.io/use-waypoint: none'),
  )
  t.strictSame(waypoints(mesh), {
    inherits: 'ns.example',
    names: 'own.example',
    refuses: undefined,
    svc: 'ns.example',
    'svc-none': undefined,
  })
  t.strictSame(mesh.warnings, [])
})

t.test('a service account’s waypoint wins over the namespace’s and loses to the pod’s own', async (t) => {
  const mesh = meshOf(
    namespace('foo', 'istio.io/use-waypoint: ns') +
      gateway('ns', FOR_ALL) +
      gateway('sa', { meta: ', annotations: {istio.io/for-service-account: a}' }) +
      gateway('sa', { ns: 'bar', meta: ', annotations: {istio.io/for-service-account: b}' }) +
      pod('a') +
      pod('b') +
      podYaml('c')
        .replace('serviceAccountName: c', 'serviceAccountName: a')
        .replace('app: c', 'istio.io/use-waypoint: none'),
  )
  t.strictSame(waypoints(mesh), { a: 'sa.example', b: 'ns.example', c: undefined })
})

t.test('a waypoint serves what it is for: services unless it says otherwise', async (t) => {
  const served = (waypointFor: string) =>
    waypoints(
      meshOf(
        namespace('foo', 'istio.io/use-waypoint: wp') +
          gateway('wp', { meta: waypointFor && `, labels: {istio.io/waypoint-for: ${waypointFor}}` }) +
          service('svc') +
          pod('pod'),
      ),
    )
  t.strictSame(served(''), { svc: 'wp.example', pod: undefined })
  t.strictSame(served('workload'), { svc: undefined, pod: 'wp.example' })
  t.strictSame(served('all'), { svc: 'wp.example', pod: 'wp.example' })
  t.strictSame(served('none'), { svc: undefined, pod: undefined })
  const explicit = meshOf(gateway('wp') + pod('pod', ', istio.io/use-waypoint: wp'))
  t.match(explicit.warnings, [
    { object: { kind: 'Pod' }, message: /serves service, not workload.*no L7 policy/ },
  ])
  const inherited = meshOf(namespace('foo', 'istio.io/use-waypoint: wp') + gateway('wp') + pod('pod'))
  t.strictSame(inherited.warnings, [], 'a waypoint for services in the namespace is the usual case')
  const odd = gateway('wp', { meta: ', labels: {istio.io/waypoint-for: pods}' })
  t.match(meshOf(odd).warnings, [{ message: /"pods" is not known/ }])
})

t.test('a waypoint that is not there means direct traffic, said once and never made up for', async (t) => {
  const mesh = meshOf(
    namespace('foo', 'istio.io/use-waypoint: gone') +
      gateway('ns', FOR_ALL) +
      pod('a') +
      pod('b') +
      pod('c', ', istio.io/use-waypoint: nope'),
  )
  t.strictSame(waypoints(mesh), { a: undefined, b: undefined, c: undefined })
  t.match(mesh.warnings, [
    { object: { kind: 'Namespace' }, message: /no Gateway foo\/gone .*goes direct/ },
    { object: { kind: 'Pod' }, message: /no Gateway foo\/nope/ },
  ])
  t.equal(mesh.warnings.length, 2)
})

t.test('another namespace’s waypoint serves only whom its listener allows', async (t) => {
  const labels = ', istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: infra'
  const shared = (from: string) =>
    meshOf(
      namespace('foo', 'team: a') +
        gateway('wp', {
          ...FOR_ALL,
          ns: 'infra',
          spec: `listeners: [{name: mesh, port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: ${from}}}}]`,
        }) +
        pod('pod', labels),
    )
  t.strictSame(waypoints(shared('All')), { pod: 'wp.example' })
  t.strictSame(waypoints(shared('Selector, selector: {matchLabels: {team: a}}')), { pod: 'wp.example' })
  t.strictSame(
    waypoints(shared('Selector, selector: {matchExpressions: [{key: team, operator: In, values: [a, b]}]}')),
    { pod: 'wp.example' },
  )
  for (const from of ['Same', 'None', 'Selector, selector: {matchLabels: {team: b}}']) {
    const mesh = shared(from)
    t.strictSame(waypoints(mesh), { pod: undefined }, from)
    t.match(mesh.warnings, [{ message: /does not allow namespace foo/ }], from)
  }
})

t.test(
  'the address is the status’s hostname, else its IP address, else the Service of the name',
  async (t) => {
    const address = (status: string, rest = '') => {
      const mesh = meshOf(
        gateway('wp', { ...FOR_ALL, status }) + rest + pod('pod', ', istio.io/use-waypoint: wp'),
      )
      return { waypoint: mesh.workloads[0]?.waypoint, warnings: mesh.warnings }
    }
    t.strictSame(address('{value: 10.96.0.9}, {type: Hostname, value: wp.foo.svc.cluster.local}').waypoint, {
      kind: 'hostname',
      namespace: 'foo',
      hostname: 'wp.foo.svc.cluster.local',
      hboneMtlsPort: 15008,
    })
    t.strictSame(address('{type: IPAddress, value: "fd01::0001"}').waypoint, {
      kind: 'address',
      network: '',
      address: 'fd01::1',
      hboneMtlsPort: 15008,
    })
    t.strictSame(address('', service('wp')).waypoint, {
      kind: 'hostname',
      namespace: 'foo',
      hostname: 'wp.foo.svc.cluster.local',
      hboneMtlsPort: 15008,
    })
    const { waypoint, warnings } = address('')
    t.equal(waypoint, undefined)
    t.match(warnings, [
      { object: { kind: 'Gateway' }, field: 'status.addresses', message: /no Service foo\/wp/ },
      { object: { kind: 'Pod' }, message: /has no address.*goes direct/ },
    ])
  },
)

t.test(
  'a waypoint’s own pods and service have no waypoint, and get the tunnel that it asks for',
  async (t) => {
    const instance = ', gateway.networking.k8s.io/gateway-name: wp'
    const mesh = (binding: string) =>
      meshOf(
        namespace('foo', 'istio.io/use-waypoint: wp') +
          gateway('wp', {
            meta: `, labels: {istio.io/waypoint-for: all}, annotations: {ambient.istio.io/waypoint-inbound-binding: ${binding}}`,
            spec: 'listeners: [{name: mesh, port: 15088, protocol: istio.io/PROXY}]',
          }) +
          pod('wp', `${instance}, istio.io/use-waypoint: wp`) +
          service('wp', 'gateway.istio.io/managed: istio.io-mesh-controller') +
          pod('pod'),
      )
    const { workloads, warnings } = mesh('PROXY/15088')
    t.match(workloads, [
      { name: 'pod', waypoint: { hostname: 'wp.example' }, applicationTunnel: undefined },
      { name: 'wp', waypoint: undefined, applicationTunnel: { protocol: 'PROXY', port: 15088 } },
    ])
    t.strictSame(warnings, [])
    t.equal(waypoints(mesh('NONE'))['wp'], undefined)
    t.match(mesh('PROXY').workloads[1], { applicationTunnel: { protocol: 'PROXY', port: undefined } })
    for (const wrong of ['PROXY/0', 'PROXY/65536', 'proxy', 'PROXY/x']) {
      t.match(mesh(wrong), { warnings: [{ message: /has no effect/ }] }, wrong)
      t.equal(mesh(wrong).workloads[1]?.applicationTunnel, undefined)
    }
  },
)

t.test('a Gateway of another class is no waypoint, and that is said', async (t) => {
  const ingress = gateway('wp').replace('istio-waypoint', 'istio')
  const mesh = meshOf(
    ingress + pod('pod', ', istio.io/use-waypoint: wp, gateway.networking.k8s.io/gateway-name: wp'),
  )
  t.equal(waypoints(mesh)['pod'], undefined)
  t.match(mesh.warnings, [
    { object: { kind: 'Gateway' }, field: 'spec.gatewayClassName' },
    { object: { kind: 'Pod' }, message: /no Gateway foo\/wp of class istio-waypoint/ },
  ])
})

t.test('what a Gateway cannot mean is an error', async (t) => {
  const wrong = (text: string) => () => meshOf(text)
  t.throws(wrong(gateway('wp', { status: '{value: wp.example}' })), /expected an IP address/)
  t.throws(wrong(gateway('wp', { status: '{type: Hostname, value: "a b"}' })), /expected a hostname/)
  t.throws(wrong(gateway('wp', { status: '{type: Named, value: x}' })), /expected IPAddress or Hostname/)
  const selector =
    'listeners: [{port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: Selector}}}]'
  t.throws(wrong(gateway('wp', { spec: selector })), /expected a selector/)
})
