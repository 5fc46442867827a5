import t from 'tap'
import { guessService, type InboundRoute, type ResolveInboundInput, resolveInbound } from './inbound.ts'
import { MeshStore } from './mesh-store.ts'
import type { ApplicationTunnel, Port, Service, ServiceKey, Workload } from './model.ts'
import { serviceKey } from './names.ts'
import { aPort, aService, atAddress, atHostname, aWorkload } from './test-support.ts'

const service = aService()
const host = service.hostname
const listing = (of: Service, ...ports: Port[]): ReadonlyMap<ServiceKey, Port[]> =>
  new Map([[serviceKey(of), ports]])
const pod = aWorkload({ name: 'pod', addresses: ['10.0.0.2'], services: listing(service) })

function mesh(...things: readonly (Workload | Service)[]): MeshStore {
  const store = new MeshStore()
  for (const thing of things) {
    if ('uid' in thing) store.upsertWorkload(thing)
    else store.upsertService(thing)
  }
  return store
}

function go(store: MeshStore, authority: string, overrides: Partial<ResolveInboundInput> = {}): InboundRoute {
  const at = authority.lastIndexOf(':')
  return resolveInbound(store, {
    workload: pod,
    connectionDestination: { address: '10.0.0.2', port: 15_008 },
    authority: { host: authority.slice(0, at), port: Number(authority.slice(at + 1)) },
    network: '',
    illegalPorts: new Set([15_001, 15_006, 15_008]),
    ...overrides,
  })
}

const tunnelled = (tunnel: ApplicationTunnel): Workload => ({ ...pod, applicationTunnel: tunnel })

t.test('5.4 an address must be the one that was reached', async (t) => {
  const store = mesh(service, pod)
  t.match(go(store, '10.0.0.2:8080'), { kind: 'accepted', upstream: { address: '10.0.0.2', port: 8080 } })
  t.match(go(store, '::ffff:10.0.0.2:8080'), { kind: 'accepted' }, 'in whatever notation')
  t.match(go(store, '10.0.0.3:8080'), {
    kind: 'refused',
    status: 400,
    message: 'ip mismatch: 10.0.0.2 != 10.0.0.3',
  })
  const v6 = { connectionDestination: { address: 'fd00::2', port: 15_008 } }
  t.match(go(store, '[fd00:0::2]:8080', v6), {
    kind: 'accepted',
    upstream: { address: 'fd00::2', port: 8080 },
  })
})

t.test('5.4 an application tunnel takes any address', async (t) => {
  const workload = tunnelled({ protocol: 'NONE', port: undefined })
  t.match(go(mesh(), '10.0.0.3:80', { workload }), {
    kind: 'accepted',
    upstream: { address: '10.0.0.2', port: 80 },
  })
})

t.test(
  '5.4 a waypoint takes the addresses of what it serves (surprise 4: it is still the pod that is dialled)',
  async (t) => {
    const waypoints = aService({ name: 'waypoint', addresses: [], ports: [aPort(15_008, 15_008)] })
    const waypoint = { ...pod, services: listing(waypoints) }
    const ok = (...things: (Workload | Service)[]): string =>
      go(mesh(waypoints, waypoint, ...things), '10.96.0.1:80', { workload: waypoint }).kind
    t.equal(
      ok({ ...service, waypoint: atHostname(waypoints.hostname) }),
      'accepted',
      'an endpoint of the waypoint service',
    )
    t.equal(ok({ ...service, waypoint: atAddress('10.0.0.2') }), 'accepted', 'the waypoint itself')
    t.equal(ok({ ...service, waypoint: atAddress('10.0.0.9') }), 'refused', 'another waypoint')
    t.equal(ok(service), 'refused', 'no waypoint')
    const behind = aWorkload({ name: 'behind', addresses: ['10.96.0.1'], waypoint: atAddress('10.0.0.2') })
    t.equal(ok(behind), 'accepted', 'a workload behind it')
    const hidden = aService({ namespace: 'other', visibility: 'NAMESPACE', waypoint: atAddress('10.0.0.2') })
    t.equal(ok(hidden), 'accepted', 'no namespace filter')
    const weightedWaypoints = [{ destination: atAddress('10.0.0.2'), weight: 1 }]
    t.equal(ok({ ...service, weightedWaypoints }), 'refused', 'weighted waypoints do not count')
    t.equal(
      go(mesh({ ...service, waypoint: atAddress('10.0.0.2') }, waypoint), '10.96.0.1:80', {
        workload: waypoint,
        network: 'other',
      }).kind,
      'refused',
      'in our network',
    )
  },
)

t.test('5.5 a hostname is a service of our own view', async (t) => {
  t.match(go(mesh(service, pod), `${host}:80`), {
    kind: 'accepted',
    upstream: { address: '10.0.0.2', port: 8080 },
    service: { name: 'server' },
  })
  const workload = { ...pod, services: listing(service, aPort(80, 9090)) }
  t.match(go(mesh(service), `${host}:80`, { workload }), { upstream: { port: 9090 } }, 'our own mapping wins')
  const unmapped = { ...pod, services: listing(service, aPort(80, 0)) }
  t.match(go(mesh(service), `${host}:80`, { workload: unmapped }), { upstream: { port: 8080 } })
  t.match(go(mesh(), `${host}:80`), {
    kind: 'refused',
    status: 503,
    message: `no service or workload for hostname: ${host}`,
  })
  t.match(go(mesh(service), `${host}:81`), {
    status: 503,
    message: `requested service ${host}:81 found, but cannot resolve port`,
  })
  t.match(go(mesh({ ...service, ports: [aPort(80, 0)] }), `${host}:80`), {
    status: 503,
    message: /cannot resolve port/,
  })
  const hidden = aService({ namespace: 'other', hostname: host, visibility: 'NAMESPACE' })
  t.match(go(mesh(hidden), `${host}:80`), { status: 503, message: /no service or workload/ })
})

t.test('5.5 our own ports', async (t) => {
  t.match(go(mesh(), '10.0.0.2:15008'), { status: 503, message: 'attempted recursive call to ourselves' })
  const looping = { ...service, ports: [aPort(80, 15_001)] }
  t.match(go(mesh(looping), `${host}:80`), { status: 503, message: 'attempted recursive call to ourselves' })
  const workload = tunnelled({ protocol: 'PROXY', port: 15_088 })
  t.match(go(mesh(), '10.0.0.2:15006', { workload }), { status: 503 }, 'before the tunnel’s port is put in')
})

t.test('5.5 application tunnels (surprise 13: policies see the port that is dialled)', async (t) => {
  const proxy = tunnelled({ protocol: 'PROXY', port: 15_088 })
  t.match(go(mesh(), '10.96.0.1:80', { workload: proxy }), {
    upstream: { address: '10.0.0.2', port: 15_088 },
    tunnel: { protocol: 'PROXY', target: { address: '10.96.0.1', port: 80 } },
  })
  const keeping = tunnelled({ protocol: 'PROXY', port: undefined })
  t.match(go(mesh(), '10.96.0.1:80', { workload: keeping }), {
    upstream: { port: 80 },
    tunnel: { protocol: 'PROXY' },
  })
  const plain = go(mesh(), '10.96.0.1:80', { workload: tunnelled({ protocol: 'NONE', port: 15_088 }) })
  t.match(plain, { upstream: { port: 15_088 } })
  t.notOk('tunnel' in plain)
})

t.test('5.5 the tunnel’s target for a hostname', async (t) => {
  const workload = tunnelled({ protocol: 'PROXY', port: 15_088 })
  const target = (...addresses: [string, string][]): unknown => {
    const virtual = { ...service, addresses: addresses.map(([network, address]) => ({ network, address })) }
    const route = go(mesh(virtual), `${host}:80`, { workload })
    return route.kind === 'accepted' ? route.tunnel?.target : route.message
  }
  t.same(target(['', 'fd00::1'], ['', '10.96.0.1']), { address: '10.96.0.1', port: 80 }, 'IPv4')
  t.same(target(['', 'fd00::1'], ['x', '10.96.0.1']), { address: 'fd00::1', port: 80 }, 'our network first')
  t.same(
    target(['', '10.96.0.1'], ['', '10.96.0.2']),
    { address: '10.96.0.2', port: 80 },
    'of equals the last',
  )
  t.equal(target(), `requested service ${host} found, but has no IP addresses`)
})

t.test('5.8 the service guess', async (t) => {
  const first = aService({ name: 'first', ports: [aPort(80, 8080)] })
  const second = aService({ name: 'second', ports: [aPort(90, 0)] })
  const services = new Map([...listing(first), ...listing(second, aPort(90, 9090))])
  const workload = { ...pod, services }
  const store = mesh(first, second, workload)
  t.equal(guessService(store, workload, 8080)?.name, 'first', 'by target port')
  t.equal(guessService(store, workload, 9090)?.name, 'second', 'by the endpoint’s port')
  t.equal(guessService(store, workload, 7070), undefined)
  t.equal(guessService(store, workload, 8080, second.hostname)?.name, 'second', 'the client’s word first')
  t.equal(guessService(store, workload, 8080, 'unknown.example')?.name, 'first')
  t.match(go(store, '10.0.0.2:8080', { workload, forwardedHost: second.hostname }), {
    service: { name: 'second' },
  })
})

t.test('every step is told', async (t) => {
  const names = ({ steps }: InboundRoute): string[] => steps.map(({ step }) => step)
  const workload = tunnelled({ protocol: 'PROXY', port: 15_088 })
  t.same(names(go(mesh(service), `${host}:80`, { workload })), [
    'validate-destination',
    'inbound-upstream',
    'service-guess',
    'application-tunnel',
  ])
  t.same(names(go(mesh(), '10.0.0.3:80')), ['validate-destination'])
})
