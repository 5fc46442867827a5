import t from 'tap'
import { MeshStore } from './mesh-store.ts'
import type { Port, Service, ServiceKey, Workload } from './model.ts'
import { serviceKey } from './names.ts'
import { type ResolveOutboundInput, resolveOutbound } from './resolve.ts'
import type { Route } from './route.ts'
import { aPort, aService, atAddress, atHostname, aWorkload } from './test-support.ts'

const client = aWorkload({ name: 'client' })
const ID = 'spiffe://cluster.local/ns/default/sa'

const listing = (service: Service, ...ports: Port[]): ReadonlyMap<ServiceKey, Port[]> =>
  new Map([[serviceKey(service), ports]])

function mesh(...things: readonly (Workload | Service)[]): MeshStore {
  const store = new MeshStore()
  store.upsertWorkload(client)
  for (const thing of things) {
    if ('uid' in thing) store.upsertWorkload(thing)
    else store.upsertService(thing)
  }
  return store
}

function go(store: MeshStore, to: string, overrides: Partial<ResolveOutboundInput> = {}): Route {
  const at = to.lastIndexOf(':')
  return resolveOutbound(store, {
    source: client,
    destination: { address: to.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(to.slice(at + 1)) },
    network: '',
    random: () => 0,
    illegalPorts: new Set([15_001, 15_006, 15_008]),
    ...overrides,
  })
}

const stepNames = (route: Route): string[] => route.steps.map(({ step }) => step)

const service = aService()
const server = aWorkload({ name: 'server', addresses: ['10.0.0.2'], services: listing(service) })

t.test('3.2 loop guard', async (t) => {
  t.match(go(mesh(), '127.0.0.1:15001'), {
    kind: 'refused',
    code: 'self-call',
    message: 'attempted recursive call to ourselves',
  })
  t.match(go(mesh(), '[::1]:15008'), { kind: 'refused', code: 'self-call' })
  t.equal(go(mesh(), '127.0.0.1:80').kind, 'passthrough')
  t.equal(go(mesh(), '10.9.9.9:15001').kind, 'passthrough', 'the inbound side catches the rest')
})

t.test('3.8 an unknown address is passed through (surprise 16)', async (t) => {
  const route = go(mesh(), '8.8.8.8:53')
  t.match(route, { kind: 'passthrough', dial: { address: '8.8.8.8', port: 53 } })
  t.equal(route.service, undefined)
  t.equal(route.workload, undefined)
  t.same(stepNames(route), ['address-lookup', 'upstream-lookup', 'passthrough'])
})

t.test('3.10 to a service, direct (surprise 6: authority is podIP:targetPort)', async (t) => {
  const route = go(mesh(service, server), '10.96.0.1:80')
  t.match(route, {
    kind: 'hbone',
    dial: { address: '10.0.0.2', port: 15_008 },
    authority: '10.0.0.2:8080',
    expectedIdentities: [`${ID}/server`],
    via: 'endpoint',
    service: { name: 'server' },
    workload: { name: 'server' },
  })
  t.same(stepNames(route), ['address-lookup', 'upstream-lookup', 'destination'])
})

t.test('3.10 to a pod, direct', async (t) => {
  const v6 = aWorkload({ name: 'v6', addresses: ['fd00::2'] })
  const plain = aWorkload({ name: 'plain', addresses: ['10.0.0.3'], tunnelProtocol: 'NONE' })
  const store = mesh(service, server, v6, plain)
  t.match(go(store, '10.0.0.2:9999'), { kind: 'hbone', authority: '10.0.0.2:9999', service: undefined })
  t.match(go(store, '[fd00::2]:80'), {
    kind: 'hbone',
    authority: '[fd00::2]:80',
    dial: { address: 'fd00::2', port: 15_008 },
  })
  t.match(go(store, '10.0.0.3:80'), { kind: 'tcp', dial: { address: '10.0.0.3', port: 80 } })
})

t.test('3.10 identities: those that the service vouches for and the workload’s own', async (t) => {
  const vouched = { ...service, subjectAltNames: ['spiffe://td/ns/x/sa/y', `${ID}/server`] }
  t.match(go(mesh(vouched, server), '10.96.0.1:80'), {
    expectedIdentities: ['spiffe://td/ns/x/sa/y', `${ID}/server`],
  })
  t.match(go(mesh(vouched, server), '10.0.0.2:80'), { expectedIdentities: [`${ID}/server`] })
})

t.test('3.8 a service that has nothing to offer is an error (surprise 16)', async (t) => {
  const message = /^no healthy upstream: 10\.96\.0\.1:80/
  t.match(go(mesh(service), '10.96.0.1:80'), { kind: 'refused', code: 'no-healthy-upstream', message })
  const sick = { ...server, status: 'UNHEALTHY' as const }
  t.match(go(mesh(service, sick), '10.96.0.1:80'), { code: 'no-healthy-upstream', message })
  t.match(go(mesh(service, server), '10.96.0.1:81'), { code: 'no-healthy-upstream' })
  t.equal(go(mesh(service, sick), '10.0.0.2:80').kind, 'hbone', '3.12 health does not bear on pod addresses')
})

t.test('3.14 a service that the client may not see is unknown (surprise 16)', async (t) => {
  const hidden = aService({ namespace: 'other', visibility: 'NAMESPACE' })
  t.equal(go(mesh(hidden), '10.96.0.1:80').kind, 'passthrough')
})

t.test('3.7, 3.8 a PASSTHROUGH service is delivered to the address dialled', async (t) => {
  const external = aService({
    cidrs: [{ network: '', cidr: '203.0.113.0/24' }],
    loadBalancing: { mode: 'PASSTHROUGH', routingPreference: [], healthPolicy: 'ALLOW_ALL' },
  })
  const route = go(mesh(external, server), '203.0.113.9:443')
  t.match(route, { kind: 'passthrough', dial: { address: '203.0.113.9', port: 443 } })
  t.equal(route.service, undefined)
})

t.test('3.4, 3.7 the two lookups differ in precedence and network (surprise 5)', async (t) => {
  const both = aWorkload({ name: 'both', addresses: ['10.96.0.1'], waypoint: atAddress('10.0.0.8') })
  const waypoint = aWorkload({ name: 'waypoint', addresses: ['10.0.0.8'] })
  const withWaypoint = { ...service, waypoint: atAddress('10.0.0.7') }
  const route = go(mesh(withWaypoint, server, both), '10.96.0.1:80')
  t.match(
    route,
    { via: 'endpoint', workload: { name: 'server' } },
    'workload first: no service waypoint; VIP first: its endpoint',
  )
  t.match(go(mesh(service, { ...server, waypoint: atAddress('10.0.0.8') }, both, waypoint), '10.96.0.1:80'), {
    via: 'waypoint',
    workload: { name: 'waypoint' },
  })
  const elsewhere = aService({ addresses: [{ network: 'configured', address: '10.96.0.1' }] })
  t.match(
    go(mesh(elsewhere), '10.96.0.1:80', { network: 'configured' }),
    { code: 'no-healthy-upstream' },
    'found in the configured network, looked for in the source’s',
  )
})

t.test('3.5 service waypoint by hostname', async (t) => {
  const waypoints = aService({
    name: 'waypoint',
    addresses: [],
    ports: [aPort(15_008, 15_008)],
    subjectAltNames: ['spiffe://a/ns/b/sa/c'],
  })
  const instance = aWorkload({ name: 'waypoint', addresses: ['10.0.0.9'], services: listing(waypoints) })
  const bound = { ...service, waypoint: atHostname(waypoints.hostname) }
  const route = go(mesh(bound, server, waypoints, instance), '10.96.0.1:80')
  t.match(route, {
    kind: 'hbone',
    via: 'waypoint',
    dial: { address: '10.0.0.9', port: 15_008 },
    authority: '10.96.0.1:80',
    expectedIdentities: ['spiffe://a/ns/b/sa/c', `${ID}/waypoint`],
    service: { name: 'server' },
    workload: { name: 'waypoint' },
  })
  t.same(stepNames(route), ['address-lookup', 'service-waypoint', 'waypoint-lookup', 'destination'])
  t.match(go(mesh(bound, server, waypoints), '10.96.0.1:80'), {
    kind: 'refused',
    code: 'unknown-waypoint',
    message: /^unknown waypoint: waypoint .* not found/,
  })
  t.match(go(mesh(bound, server), '10.96.0.1:80'), { code: 'unknown-waypoint' }, 'never around it')
})

t.test('3.6 waypoint addresses', async (t) => {
  const vip = aService({
    name: 'waypoint',
    addresses: [{ network: '', address: '10.96.0.9' }],
    ports: [aPort(15_008, 15_009)],
  })
  const instance = aWorkload({ name: 'behind-vip', addresses: ['10.0.0.9'], services: listing(vip) })
  const owner = aWorkload({ name: 'owner', addresses: ['10.96.0.9', '10.0.0.10', 'fd00::10'] })
  const named = aWorkload({ name: 'named', hostname: 'wp.example', addresses: ['10.0.0.11', 'fd00::11'] })
  const to = (waypoint: Service['waypoint'], ...more: (Workload | Service)[]): Route =>
    go(mesh({ ...service, waypoint }, server, ...more), '10.96.0.1:80')
  t.match(
    to(atAddress('10.96.0.9'), vip, instance, owner),
    { dial: { address: '10.0.0.9', port: 15_009 } },
    'VIP first',
  )
  t.match(
    to(atAddress('10.96.0.9'), owner),
    { dial: { address: '10.96.0.9', port: 15_008 } },
    'then a workload',
  )
  t.match(to(atAddress('fd00::10'), owner), { dial: { address: 'fd00::10' } }, 'an address fixes the family')
  t.match(
    to(atHostname('wp.example'), named),
    { dial: { address: '10.0.0.11' } },
    'a hostname follows the client',
  )
  t.match(to(atHostname('wp.example', 'other'), named), { code: 'unknown-waypoint' })
  t.match(to(atAddress('10.96.0.9', 'other'), owner), { code: 'unknown-waypoint' }, 'in its own network')
  const tunnelled = aWorkload({ ...instance, applicationTunnel: { protocol: 'PROXY', port: 15_088 } })
  t.match(to(atAddress('10.96.0.9'), { ...vip, ports: [] }, tunnelled), { dial: { port: 15_008 } }, '3.11')
})

t.test('3.5 weighted waypoints', async (t) => {
  const one = aWorkload({ name: 'one', addresses: ['10.0.0.8'] })
  const two = aWorkload({ name: 'two', addresses: ['10.0.0.9'] })
  const through = (weights: [number, number], random: number): string | undefined => {
    const weightedWaypoints = [
      { destination: atAddress('10.0.0.8'), weight: weights[0] },
      { destination: atAddress('10.0.0.9'), weight: weights[1] },
    ]
    const canaried = { ...service, waypoint: atAddress('10.0.0.8'), weightedWaypoints }
    return go(mesh(canaried, server, one, two), '10.96.0.1:80', { random: () => random }).workload?.name
  }
  t.equal(through([90, 10], 0.89), 'one')
  t.equal(through([90, 10], 0.9), 'two')
  t.equal(through([0, 1], 0), 'two')
  t.equal(through([0, 0], 0.99), 'one', 'an unusable set falls back to the waypoint')
})

t.test('3.10 workload waypoint', async (t) => {
  const waypoint = aWorkload({ name: 'waypoint', addresses: ['10.0.0.9'] })
  const behind = { ...server, waypoint: atAddress('10.0.0.9') }
  const store = mesh(service, behind, waypoint)
  const route = go(store, '10.0.0.2:8080')
  t.match(route, {
    kind: 'hbone',
    via: 'waypoint',
    dial: { address: '10.0.0.9', port: 15_008 },
    authority: '10.0.0.2:8080',
    expectedIdentities: [`${ID}/waypoint`],
  })
  t.same(stepNames(route), [
    'address-lookup',
    'upstream-lookup',
    'workload-waypoint',
    'waypoint-lookup',
    'destination',
  ])
  t.match(go(store, '10.96.0.1:80'), { via: 'endpoint' }, 'not for service-addressed traffic')
  t.match(
    go(store, '10.0.0.2:8080', { source: waypoint }),
    { via: 'endpoint' },
    'not from the waypoint itself',
  )
  t.match(go(mesh(service, behind), '10.0.0.2:8080'), { code: 'unknown-waypoint' })
})

t.test('3.10 an instance of a waypoint service is itself the waypoint, healthy or not', async (t) => {
  const waypoints = aService({ name: 'waypoint', addresses: [], ports: [aPort(15_008, 15_008)] })
  const instance = aWorkload({
    name: 'wp',
    addresses: ['10.0.0.9'],
    services: listing(waypoints),
    status: 'UNHEALTHY',
  })
  const behind = { ...server, waypoint: atHostname(waypoints.hostname) }
  t.match(go(mesh(behind, waypoints, instance), '10.0.0.2:80', { source: instance }), { via: 'endpoint' })
})

t.test('3.9 another network', async (t) => {
  const remote = aWorkload({ ...server, network: 'far', networkGateway: atAddress('1.2.3.4') })
  const gateway = aWorkload({ name: 'gateway', addresses: ['1.2.3.4'] })
  const vouched = { ...service, subjectAltNames: [`${ID}/far`] }
  const route = go(mesh(vouched, remote, gateway), '10.96.0.1:80')
  t.match(route, {
    kind: 'double-hbone',
    dial: { address: '1.2.3.4', port: 15_008 },
    authority: 'server.default.svc.cluster.local:80',
    expectedIdentities: [`${ID}/gateway`],
    innerIdentities: [`${ID}/far`],
    service: { name: 'server' },
    workload: { name: 'gateway' },
  })
  t.same(stepNames(route).slice(-2), ['network-gateway', 'destination'])
  t.match(
    go(mesh(service, remote, gateway), '10.96.0.1:80'),
    { code: 'no-service-identities', message: /no identity to expect of default\/server/ },
    'without an identity to expect nobody behind the gateway could be believed (surprise 7)',
  )
  t.match(go(mesh(service, remote), '10.96.0.1:80'), {
    code: 'unknown-network-gateway',
    message: /^unknown network gateway: /,
  })
  t.match(go(mesh(service, { ...remote, networkGateway: undefined }), '10.96.0.1:80'), {
    code: 'no-valid-destination',
    message: /^no valid routing destination for workload: /,
  })
  const sameAddress = aWorkload({ name: 'odd', addresses: ['10.0.0.5'], network: 'far' })
  const source = { ...client, network: 'far' }
  t.match(go(mesh(sameAddress), '10.0.0.5:80', { source }), { kind: 'hbone' }, 'the same network is no other')
})

t.test('3.5a a waypoint in another network', async (t) => {
  const waypoint = aWorkload({
    name: 'wp',
    addresses: ['10.5.0.1'],
    network: 'far',
    networkGateway: atAddress('1.2.3.4'),
  })
  const gateway = aWorkload({ name: 'gateway', addresses: ['1.2.3.4'] })
  const bound = { ...service, waypoint: atAddress('10.5.0.9', 'far') }
  const waypoints = aService({
    name: 'wp',
    addresses: [{ network: 'far', address: '10.5.0.9' }],
    ports: [aPort(15_008, 15_008)],
    subjectAltNames: [`${ID}/wp`],
  })
  const instance = { ...waypoint, services: listing(waypoints) }
  t.match(go(mesh(bound, server, waypoints, instance, gateway), '10.96.0.1:80'), {
    kind: 'double-hbone',
    dial: { address: '1.2.3.4' },
    authority: 'server.default.svc.cluster.local:80',
    innerIdentities: [`${ID}/wp`],
  })
})

t.test('3.13 the address to dial', async (t) => {
  const dual = { ...server, addresses: ['10.0.0.2', 'fd00::2'] }
  const addresses = [
    { network: '', address: '10.96.0.1' },
    { network: '', address: 'fd00:96::1' },
  ]
  const to = (address: string, overrides: Partial<Service>, workload: Workload): Route =>
    go(mesh({ ...service, addresses, ...overrides }, workload), `[${address}]:80`)
  t.match(to('10.96.0.1', {}, dual), { dial: { address: '10.0.0.2' } }, 'the family of the client')
  t.match(to('fd00:96::1', {}, dual), { dial: { address: 'fd00::2' } })
  t.match(to('fd00:96::1', { ipFamilies: 'IPV4_ONLY' }, dual), { dial: { address: '10.0.0.2' } })
  t.match(to('fd00:96::1', {}, server), { dial: { address: '10.0.0.2' } }, 'rather another family than none')
  t.match(to('10.96.0.1', { ipFamilies: 'IPV6_ONLY' }, server), {
    code: 'no-valid-destination',
    message: /^no valid routing destination for workload: .*IPV6_ONLY/,
  })
  t.match(go(mesh(dual), '[fd00::2]:80'), { dial: { address: 'fd00::2' } }, 'the one that was asked for')
})
