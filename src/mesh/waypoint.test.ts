import t from 'tap'
import { MeshStore } from './mesh-store.ts'
import type { Service, Workload } from './model.ts'
import { serviceKey } from './names.ts'
import { aPort, aService, atAddress, atHostname, aWorkload } from './test-support.ts'
import { resolveForward, resolvePodForward } from './waypoint-forward.ts'
import { resolveWaypointTarget } from './waypoint-target.ts'

const GATEWAY = atHostname('waypoint.default.svc.cluster.local')
const FRONT = aService({ name: 'waypoint', addresses: [{ network: '', address: '10.96.0.9' }] })
const WAYPOINT = aWorkload({
  name: 'waypoint',
  addresses: ['10.0.0.9'],
  services: new Map([[serviceKey(FRONT), []]]),
})
const SERVER = aService({ waypoint: GATEWAY, ports: [{ ...aPort(80, 8080), appProtocol: 'HTTP11' }] })
const OTHER = aService({ name: 'other', addresses: [{ network: '', address: '10.96.0.2' }] })

function pod(name: string, address: string, changes: Partial<Workload> = {}): Workload {
  return aWorkload({ name, addresses: [address], services: new Map([[serviceKey(SERVER), []]]), ...changes })
}

const V1 = pod('v1', '10.0.1.1', { waypoint: GATEWAY })
const V2 = pod('v2', '10.0.1.2')

function meshOf(
  workloads: readonly Workload[],
  services: readonly Service[] = [FRONT, SERVER, OTHER],
): MeshStore {
  const mesh = new MeshStore()
  mesh.apply([
    ...services.map((service) => ({ kind: 'upsert-service', service }) as const),
    ...workloads.map((workload) => ({ kind: 'upsert-workload', workload }) as const),
  ])
  return mesh
}

function target(mesh: MeshStore, host: string, port = 80) {
  return resolveWaypointTarget(mesh, { waypoint: WAYPOINT, authority: { host, port }, network: '' })
}

t.test('a waypoint is asked for its services and its pods, and for nothing else', async (t) => {
  const mesh = meshOf([WAYPOINT, V1, V2])
  t.match(target(mesh, '10.96.0.1'), { kind: 'service', port: 80, appProtocol: 'HTTP11' })
  t.match(target(mesh, SERVER.hostname), { kind: 'service', service: { name: 'server' } })
  t.match(target(mesh, '10.0.1.1', 8080), { kind: 'workload', address: '10.0.1.1', appProtocol: 'HTTP11' })
  t.match(target(mesh, '10.0.1.1', 9), { kind: 'workload', appProtocol: 'UNKNOWN', service: undefined })

  const refused = (host: string, status: number, why: RegExp, port = 80): void =>
    void t.match(target(mesh, host, port), { kind: 'refused', status, message: why })
  refused('10.0.1.2', 400, /workload .*v2 .* has another waypoint or none/, 8080)
  refused('10.0.0.9', 400, /waypoint .* has another waypoint or none/, 15_000)
  refused('10.96.0.2', 400, /service default\/other.* has another waypoint or none/)
  refused('other.default.svc.cluster.local', 400, /has another waypoint or none/)
  refused('127.0.0.1', 400, /neither a workload nor a service/, 15_000)
  refused('nobody.example', 400, /no service has the hostname nobody\.example/)
  refused('10.96.0.1', 503, /has no port 81/, 81)
})

t.test('a canary’s share of a service is served too', async (t) => {
  const elsewhere = atAddress('10.0.9.9')
  const canary = aService({
    waypoint: elsewhere,
    weightedWaypoints: [
      { destination: elsewhere, weight: 90 },
      { destination: GATEWAY, weight: 10 },
    ],
  })
  t.match(target(meshOf([WAYPOINT], [FRONT, canary]), '10.96.0.1'), { kind: 'service' })
})

const INPUT = { waypoint: WAYPOINT, requested: '10.96.0.1', random: () => 0 }

t.test(
  'a service is forwarded to an endpoint as the endpoint speaks, and not through its waypoint',
  async (t) => {
    const route = resolveForward(meshOf([WAYPOINT, V1]), SERVER, 80, INPUT)
    t.match(route, {
      kind: 'hbone',
      via: 'endpoint',
      dial: { address: '10.0.1.1', port: 15_008 },
      authority: '10.0.1.1:8080',
      expectedIdentities: ['spiffe://cluster.local/ns/default/sa/v1'],
    })
    const plain = pod('legacy', '10.0.1.3', { tunnelProtocol: 'NONE' })
    t.match(resolveForward(meshOf([WAYPOINT, plain]), SERVER, 80, INPUT), {
      kind: 'tcp',
      dial: { address: '10.0.1.3', port: 8080 },
    })
  },
)

t.test('an endpoint that failed a request is asked again only when there is no other', async (t) => {
  const mesh = meshOf([WAYPOINT, V1, V2])
  const uid = (avoid: Workload[]) =>
    resolveForward(mesh, SERVER, 80, INPUT, new Set(avoid.map((workload) => workload.uid))).workload?.name
  t.equal(uid([]), 'v1')
  t.equal(uid([V1]), 'v2')
  t.equal(uid([V1, V2]), 'v1')
})

t.test('no endpoint, or the waypoint itself: no healthy upstream', async (t) => {
  const sick = pod('v1', '10.0.1.1', { status: 'UNHEALTHY' })
  t.match(resolveForward(meshOf([WAYPOINT, sick]), SERVER, 80, INPUT), {
    kind: 'refused',
    code: 'no-healthy-upstream',
    message: /^no healthy upstream: /,
  })
  const self = aWorkload({
    ...WAYPOINT,
    services: new Map([
      [serviceKey(FRONT), []],
      [serviceKey(SERVER), []],
    ]),
  })
  t.match(resolveForward(meshOf([self]), SERVER, 80, { ...INPUT, waypoint: self }), {
    kind: 'refused',
    message: /a waypoint of the service itself/,
  })
})

t.test(
  'another network is reached through its gateway, with the service’s identities expected there',
  async (t) => {
    const gateway = aWorkload({ name: 'gateway', addresses: ['10.0.0.200'] })
    const far = pod('far', '', { addresses: [], network: 'far', networkGateway: atAddress('10.0.0.200') })
    const service = { ...SERVER, subjectAltNames: ['spiffe://cluster.local/ns/default/sa/far'] }
    t.match(resolveForward(meshOf([WAYPOINT, gateway, far], [FRONT, service]), service, 80, INPUT), {
      kind: 'double-hbone',
      dial: { address: '10.0.0.200', port: 15_008 },
      authority: 'server.default.svc.cluster.local:80',
      innerIdentities: service.subjectAltNames,
    })
  },
)

t.test('a pod that was asked for gets its own requests', async (t) => {
  t.match(resolvePodForward(V1, { address: '10.0.1.1', port: 8080 }, SERVER), {
    kind: 'hbone',
    authority: '10.0.1.1:8080',
    service: { name: 'server' },
  })
})
