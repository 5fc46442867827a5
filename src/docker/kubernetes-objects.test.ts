import t from 'tap'
import { isCaptured } from '../xds/kubernetes/index.ts'
import { meshOf, objectsOf } from '../xds/kubernetes/test-support.ts'
import { fleetOf } from './fleet.ts'
import { podOf, servicesOf } from './kubernetes-objects.ts'
import type { Container } from './model.ts'
import { aContainer, aSnapshot } from './test-support.ts'

const NOTHING = objectsOf('')
const AMBIENT = { 'istio.io/dataplane-mode': 'ambient', 'com.docker.compose.service': 'web' }

function web(name: string, labels: Container['labels'] = {}, overrides: Partial<Container> = {}): Container {
  return aContainer(name, { labels: { ...AMBIENT, ...labels }, exposedPorts: [80], ...overrides })
}

function podsOf(...containers: readonly Container[]) {
  return fleetOf(aSnapshot(containers)).members.map((member) => podOf(member, NOTHING.gateways))
}

t.test('a running container is a pod that is captured', async (t) => {
  const [pod] = podsOf(web('web-1'))
  t.match(pod, {
    metadata: { name: 'web-1', namespace: 'default', labels: { app: 'web', 'ztunnel.service': 'web' } },
    spec: {
      nodeName: 'host-1',
      serviceAccountName: 'default',
      ports: [{ name: 'port-80', containerPort: 80 }],
    },
    status: { phase: 'Running', podIPs: ['172.18.0.2'], conditions: [{ type: 'Ready', status: 'True' }] },
  })
  t.equal(pod && isCaptured(pod, undefined), true)
})

t.test('ready while it runs, is not paused, and its health check agrees', async (t) => {
  const readiness = (overrides: Partial<Container>) =>
    podsOf(web('w', {}, overrides))[0]?.status.conditions?.[0]?.status
  t.equal(readiness({ health: 'healthy' }), 'True')
  t.equal(readiness({ health: 'starting' }), 'False')
  t.equal(readiness({ health: 'unhealthy' }), 'False')
  t.equal(readiness({ status: 'paused' }), 'False')
  t.equal(readiness({ status: 'restarting' }), 'False')
})

t.test('only its own labels enrol it: the agent reads no Namespaces', async (t) => {
  const namespace = objectsOf(
    '{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {istio.io/dataplane-mode: ambient, istio-injection: enabled}}}',
  ).namespaces.get('default')
  const [known, enrolled] = podsOf(
    aContainer('known', { labels: { 'ztunnel.name': 'known' } }),
    aContainer('sidecar-free'),
  )
  t.equal(known && isCaptured(known, namespace), false)
  t.equal(enrolled && isCaptured(enrolled, namespace), true)
  const [sidecar] = podsOf(web('s', { 'sidecar.istio.io/inject': 'true' }))
  t.equal(sidecar && isCaptured(sidecar, undefined), false, 'one with a proxy of its own is not captured')
})

t.test('one service for all its containers, each port where each container has it', async (t) => {
  const v1 = web('web-1', { 'ztunnel.ports': '80:8080/http' })
  const v2 = web(
    'web-2',
    { 'ztunnel.ports': '80:9080,81' },
    { created: '2026-11-22T00:00:00Z', running: false },
  )
  const { services, problems } = servicesOf(fleetOf(aSnapshot([v1, v2])).members, NOTHING)
  t.match(services, [
    {
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        clusterIPs: [/^240\.240\./],
        selector: { 'ztunnel.service': 'web' },
        ports: [
          { port: 80, targetPort: 'port-80', appProtocol: 'http' },
          { port: 81, targetPort: 'port-81' },
        ],
      },
    },
  ])
  t.strictSame(problems, [])
})

t.test('no virtual address without a port, nor without a way out; IPv6 where there is IPv6', async (t) => {
  const addresses = (container: Container, internal = false) => {
    const network = { id: 'net-1', name: 'demo_default', driver: 'bridge', internal }
    const { members } = fleetOf(aSnapshot([container], [network]))
    return servicesOf(members, NOTHING).services[0]?.spec
  }
  t.match(addresses(web('w', {}, { exposedPorts: [] })), { headless: true, clusterIPs: [] })
  t.match(addresses(web('w'), true), { headless: true, clusterIPs: [] })
  const dual = [{ name: 'demo_default', id: 'net-1', addresses: ['172.18.0.2', 'fd00::2'] }]
  t.match(addresses(web('w', {}, { networks: dual })), {
    headless: false,
    clusterIPs: [/^240\.240\./, /^2001:2::/],
  })
})

t.test('an address that a file’s Service has is not given away again', async (t) => {
  const { members } = fleetOf(aSnapshot([web('w')]))
  const first = servicesOf(members, NOTHING).services[0]?.spec.clusterIPs[0]
  const taken = objectsOf(
    `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: foo}, spec: {clusterIP: ${first}, ports: [{port: 80}]}}`,
  )
  t.not(servicesOf(members, taken).services[0]?.spec.clusterIPs[0], first)
})

t.test('what containers of a service say differently is told', async (t) => {
  const a = web('a', { 'ztunnel.ports': '80/http', 'istio.io/use-waypoint': 'w1' })
  const b = web(
    'b',
    { 'ztunnel.ports': '80/grpc', 'istio.io/use-waypoint': 'w2' },
    { created: '2026-11-22T00:00:00Z' },
  )
  const { problems } = servicesOf(fleetOf(aSnapshot([a, b])).members, NOTHING)
  t.match(problems, [
    { container: 'b', message: /port 80 of service web is grpc here and http in an older container/ },
    { container: 'b', message: /label istio\.io\/use-waypoint of service web is "w2" here and "w1"/ },
  ])
})

t.test('a waypoint is the service’s or the container’s, by what it serves', async (t) => {
  const gateway = (serves: string) =>
    objectsOf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: w, namespace: default, labels: {istio.io/waypoint-for: ${serves}}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
`)
  const { members } = fleetOf(aSnapshot([web('a', { 'istio.io/use-waypoint': 'w' })]))
  const bound = (serves: string) => {
    const objects = gateway(serves)
    const [member] = members
    return [
      member && podOf(member, objects.gateways).metadata.labels['istio.io/use-waypoint'],
      servicesOf(members, objects).services[0]?.metadata.labels['istio.io/use-waypoint'],
    ]
  }
  t.strictSame(bound('service'), [undefined, 'w'])
  t.strictSame(bound('workload'), ['w', undefined])
  t.strictSame(bound('all'), ['w', 'w'])
  t.ok(meshOf(''), 'the translation is the one of the files')
})
