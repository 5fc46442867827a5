import fc from 'fast-check'
import t from 'tap'
import { type Hairpin, isServedPeer, type ResolveHairpinInput, resolveHairpin } from './hairpin.ts'
import { workloadIdentity } from './identity.ts'
import { MeshStore } from './mesh-store.ts'
import type { GatewayAddress, Service, Workload } from './model.ts'
import { serviceKey } from './names.ts'
import { aPort, aService, atAddress, atHostname, aWorkload } from './test-support.ts'

const waypoint = aWorkload({ name: 'waypoint', addresses: ['10.0.0.9'] })
const server = aWorkload({ name: 'server', addresses: ['10.0.0.2'], waypoint: atAddress('10.0.0.9') })
const client = aWorkload({ name: 'client', addresses: ['10.0.0.1'] })
const PLAINTEXT = { address: '10.0.0.1', identity: undefined, otherNetwork: false, hairpinned: false }

function mesh(...things: readonly (Workload | Service)[]): MeshStore {
  const store = new MeshStore()
  for (const thing of things) {
    if ('uid' in thing) store.upsertWorkload(thing)
    else store.upsertService(thing)
  }
  return store
}

/** A peer that proves to be a workload, from that workload's address. */
const as = (workload: Workload): ResolveHairpinInput['client'] => ({
  address: workload.addresses[0] ?? '',
  identity: workloadIdentity(workload),
  otherNetwork: false,
  hairpinned: false,
})

function go(store: MeshStore, overrides: Partial<ResolveHairpinInput> = {}): Hairpin {
  return resolveHairpin(store, {
    workload: server,
    destination: { address: '10.0.0.2', port: 8080 },
    client: PLAINTEXT,
    network: '',
    enforcement: 'hairpin',
    random: () => 0,
    ...overrides,
  })
}

t.test('plaintext and HBONE of anybody else are sent to the waypoint, for the pod’s address', async (t) => {
  const store = mesh(server, waypoint, client)
  for (const peer of [PLAINTEXT, as(client), { ...PLAINTEXT, address: '192.0.2.1' }]) {
    t.match(go(store, { client: peer }), {
      kind: 'waypoint',
      route: {
        dial: { address: '10.0.0.9', port: 15_008 },
        authority: '10.0.0.2:8080',
        expectedIdentities: ['spiffe://cluster.local/ns/default/sa/waypoint'],
        via: 'waypoint',
      },
      steps: [{ step: 'waypoint-enforcement' }, { step: 'destination' }],
    })
  }
})

t.test('what comes from the waypoint goes to the application', async (t) => {
  t.match(go(mesh(server, waypoint), { client: as(waypoint) }), { kind: 'direct' })
  const service = aService({ name: 'waypoint', addresses: [], ports: [aPort(15_008, 15_008)] })
  const services = new Map([[serviceKey(service), []]])
  const sick = aWorkload({ ...waypoint, services, status: 'UNHEALTHY' })
  const workload = { ...server, waypoint: atHostname(service.hostname) }
  t.match(
    go(mesh(service, sick), { workload, client: as(sick) }),
    { kind: 'direct' },
    'an instance that ails, too',
  )
})

t.test(
  'a workload without a waypoint, and enforcement switched off, are today’s behaviour (6.4)',
  async (t) => {
    const workload = { ...server, waypoint: undefined }
    t.same(go(mesh(workload), { workload }), { kind: 'direct', steps: [] })
    t.match(go(mesh(server, waypoint), { enforcement: 'off' }), {
      kind: 'direct',
      steps: [{ detail: /not enforced/ }],
    })
  },
)

t.test('a waypoint of a service does not bind who addresses the workload', async (t) => {
  const service = aService({ waypoint: atAddress('10.0.0.9') })
  const workload = { ...server, waypoint: undefined, services: new Map([[serviceKey(service), []]]) }
  t.match(go(mesh(service, workload, waypoint), { workload }), { kind: 'direct' })
})

t.test('a waypoint that cannot be reached is not passed by', async (t) => {
  t.match(go(mesh(server)), { kind: 'refused', message: /^unknown waypoint: .*10\.0\.0\.9:15008 not found/ })
  const service = aService({ name: 'waypoint', ports: [aPort(15_008, 15_008)] })
  const workload = { ...server, waypoint: atHostname(service.hostname) }
  t.match(go(mesh(service), { workload }), { kind: 'refused', message: /no healthy endpoint/ })
  const far = aWorkload({ ...waypoint, network: 'far' })
  const across = { ...server, waypoint: atAddress('10.0.0.9', 'far') }
  t.match(go(mesh(far), { workload: across }), { kind: 'refused', message: /network "far"/ })
})

t.test(
  'what only half seems to come from the waypoint could go round for ever, and is refused',
  async (t) => {
    const store = mesh(server, waypoint, client)
    const translated = { ...as(waypoint), address: '172.18.0.11' }
    t.match(go(store, { client: translated }), { kind: 'refused', message: /none of its addresses/ })
    const unproven = { ...as(waypoint), identity: undefined }
    t.match(go(store, { client: unproven }), { kind: 'refused', message: /did not prove/ })
    const other = { ...as(waypoint), identity: workloadIdentity(client) }
    t.match(go(store, { client: other }), { kind: 'refused', message: /did not prove/ })
  },
)

t.test('the same identity in another network is not this waypoint, and goes to it', async (t) => {
  const remote = { ...as(waypoint), address: '192.0.2.7', otherNetwork: true }
  t.match(go(mesh(server, waypoint), { client: remote }), { kind: 'waypoint' })
})

t.test(
  'what a workload sends up to its waypoint is at its goal, though the waypoint has one too',
  async (t) => {
    const outer = aWorkload({ name: 'outer', addresses: ['10.0.0.8'] })
    const captured = { ...waypoint, waypoint: atAddress('10.0.0.8') }
    const store = mesh(server, captured, outer, client)
    const at = { workload: captured, destination: { address: '10.0.0.9', port: 15_008 } }
    t.match(go(store, { ...at, client: { ...as(server), hairpinned: true } }), { kind: 'direct' })
    t.match(
      go(store, { ...at, client: as(client) }),
      { kind: 'waypoint' },
      'all others must go through its own',
    )
    t.match(
      go(store, { ...at, client: { ...as(client), hairpinned: true } }),
      { kind: 'refused', message: /sent to a waypoint before/ },
      'and who claims to have been sent up gains nothing',
    )
  },
)

t.test('only the ztunnel of a workload that the waypoint serves is believed about a client', async (t) => {
  const store = mesh(server, waypoint, client)
  t.ok(isServedPeer(store, waypoint, as(server), ''))
  t.notOk(isServedPeer(store, waypoint, as(client), ''), 'it does not serve this one')
  t.notOk(isServedPeer(store, client, as(server), ''), 'another waypoint does not serve it')
  t.notOk(isServedPeer(store, waypoint, { ...as(server), identity: workloadIdentity(client) }, ''))
  t.notOk(isServedPeer(store, waypoint, { ...as(server), address: '10.0.0.1' }, ''))
  t.notOk(isServedPeer(store, waypoint, { ...as(server), identity: undefined }, ''))
})

t.test('no connection goes round, whatever has which waypoint', async () => {
  const SIZE = 5
  const address = (i: number): string => `10.0.0.${i + 1}`
  const gateways = fc.array(fc.option(fc.nat(SIZE - 1)), { minLength: SIZE, maxLength: SIZE })
  fc.assert(
    fc.property(gateways, fc.nat(SIZE - 1), fc.nat(SIZE - 1), (chosen, from, to) => {
      const workloads = chosen.map((gateway, i) =>
        aWorkload({
          name: `w${i}`,
          addresses: [address(i)],
          waypoint: gateway === null ? undefined : (atAddress(address(gateway)) as GatewayAddress),
        }),
      )
      const store = mesh(...workloads)
      const [source = client, start = client] = [workloads[from], workloads[to]]
      const first = resolveHairpin(store, hop(start, as(source)))
      if (first.kind !== 'waypoint') return true
      const up = workloads.find(({ addresses }) => addresses.includes(first.route.dial.address)) ?? client
      const second = resolveHairpin(store, hop(up, { ...as(start), hairpinned: true }))
      const back = resolveHairpin(store, hop(start, as(up)))
      return second.kind !== 'waypoint' && back.kind !== 'waypoint'
    }),
  )
})

const hop = (workload: Workload, peer: ResolveHairpinInput['client']): ResolveHairpinInput => ({
  workload,
  destination: { address: workload.addresses[0] ?? '', port: 80 },
  client: peer,
  network: '',
  enforcement: 'hairpin',
  random: Math.random,
})
