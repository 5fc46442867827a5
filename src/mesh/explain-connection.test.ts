import t from 'tap'
import { authorize } from './authorize.ts'
import { type ExplainInput, explainConnection } from './explain-connection.ts'
import type { Explanation } from './explanation.ts'
import { workloadIdentity } from './identity.ts'
import { MeshStore } from './mesh-store.ts'
import type { Service, Workload } from './model.ts'
import { serviceKey } from './names.ts'
import { resolveOutbound } from './resolve.ts'
import { aMatch, aPolicy, aPort, aService, atAddress, aWorkload } from './test-support.ts'

const client = aWorkload()
const service = aService()
const listing = new Map([[serviceKey(service), []]])
const server = aWorkload({ name: 'server', addresses: ['10.0.0.2'], services: listing, node: 'n2' })

function mesh(...things: readonly (Workload | Service)[]): MeshStore {
  const store = new MeshStore()
  for (const thing of things) {
    if ('uid' in thing) store.upsertWorkload(thing)
    else store.upsertService(thing)
  }
  return store
}

const INPUT: ExplainInput = {
  source: client,
  destination: { address: '10.96.0.1', port: 80 },
  network: '',
  enforcement: 'hairpin',
  random: () => 0,
  illegalPorts: new Set([15_001, 15_006, 15_008]),
}

const go = (store: MeshStore, overrides: Partial<ExplainInput> = {}): Explanation =>
  explainConnection(store, { ...INPUT, ...overrides })

t.test('both ends are what the data path would decide', async (t) => {
  const store = mesh(service, server, client)
  const rules = [[[aMatch({ principals: [{ kind: 'exact', value: 'cluster.local/ns/default/sa/client' }] })]]]
  store.upsertPolicy(aPolicy({ scope: 'NAMESPACE', rules }))
  const { route, arrival, choices } = go(store)
  t.same(route?.steps, resolveOutbound(store, INPUT).steps)
  t.match(route, { kind: 'hbone', authority: '10.0.0.2:8080', workload: server.uid })
  const context = {
    sourceIdentity: workloadIdentity(client),
    sourceAddress: '10.0.0.1',
    destinationAddress: '10.0.0.2',
    destinationPort: 8080,
  }
  const verdict = authorize(store.policiesFor(server), context)
  t.same(arrival?.verdict.policies, verdict.tree())
  t.match(arrival, {
    enforcedBy: 'the ztunnel of n2',
    context: { ...context, sourceIdentity: 'spiffe://cluster.local/ns/default/sa/client' },
    verdict: { allowed: true, policy: 'default/policy' },
    outcome: 'reaches the application at 10.0.0.2:8080',
  })
  t.match(choices, [{ service: serviceKey(service), port: 80, candidates: [{ status: 'chosen', share: 1 }] }])
})

t.test('every endpoint is there, with the reason why it is taken or not', async (t) => {
  const at = (name: string, i: number, overrides: Partial<Workload> = {}): Workload =>
    aWorkload({ name, addresses: [`10.0.1.${i}`], services: listing, ...overrides })
  const preferring = aService({
    loadBalancing: { mode: 'FAILOVER', routingPreference: ['NODE'], healthPolicy: 'ONLY_HEALTHY' },
  })
  const store = mesh(
    preferring,
    at('near', 1, { capacity: 3 }),
    at('near-too', 2),
    at('far', 3, { node: 'n2' }),
    at('idle', 4, { capacity: 0 }),
    at('nowhere', 5, { addresses: [] }),
    at('sick', 6, { status: 'UNHEALTHY' }),
  )
  const [choice] = go(store).choices
  const seen = Object.fromEntries(
    (choice?.candidates ?? []).map(({ name, status, share, reason }) => [name, [status, share, reason]]),
  )
  t.match(seen, {
    'default/near': ['chosen', 0.75, 'healthy enough, weight 3'],
    'default/near-too': ['possible', 0.25, /weight 1/],
    'default/far': ['excluded', 0, /closer to the client by NODE/],
    'default/idle': ['excluded', 0, /weight is 0/],
    'default/nowhere': ['excluded', 0, /neither an address nor a hostname/],
    'default/sick': ['excluded', 0, /not healthy/],
  })
})

t.test('a service that lacks the port has no candidate', async (t) => {
  const { route, choices } = go(mesh(service, server), { destination: { address: '10.96.0.1', port: 81 } })
  t.match(route, { kind: 'refused', outcome: /no-healthy-upstream/ })
  t.match(choices, [{ candidates: [{ status: 'excluded', reason: /no port behind 81/ }] }])
})

t.test('a denial says so, and nothing of what would come after', async (t) => {
  const store = mesh(service, { ...server, waypoint: atAddress('10.0.0.9') })
  store.upsertPolicy(aPolicy({ scope: 'NAMESPACE', rules: [] }))
  t.match(go(store).arrival, {
    verdict: { allowed: false, unmatched: { names: ['default/policy'], total: 1 } },
    onward: [],
    outcome: 'refused by policy',
  })
  store.upsertPolicy(aPolicy({ scope: 'NAMESPACE', action: 'DENY', rules: [[[aMatch()]], []] }))
  t.match(go(store).arrival, { verdict: { policy: 'default/policy', rule: 2 } })
})

t.test('a policy that the destination lists and nobody has sent is told of', async (t) => {
  const store = mesh(service, { ...server, authorizationPolicies: ['default/gone'] })
  t.match(go(store), { arrival: { verdict: { allowed: true } }, notes: [/lists the policy default\/gone/] })
  const plain = go(store, { source: aWorkload({ name: 'plain', tunnelProtocol: 'NONE' }) })
  t.match(plain.notes, [/not in the mesh/, /default\/gone/])
  store.upsertPolicy(aPolicy({ name: 'gone', rules: [[]] }))
  t.same(go(store).notes, [])
})

t.test('a workload that has a waypoint sends on what passed it by', async (t) => {
  const waypoint = aWorkload({ name: 'waypoint', addresses: ['10.0.0.9'] })
  const store = mesh(service, { ...server, waypoint: atAddress('10.0.0.9') }, waypoint)
  t.match(go(store).arrival, {
    workload: server.uid,
    onward: [{ step: 'waypoint-enforcement' }, { step: 'destination' }],
    outcome: "is sent to the workload's waypoint at 10.0.0.9:15008",
  })
  const direct = go(store, { destination: { address: '10.0.0.2', port: 8080 } })
  t.match(direct, { route: { outcome: /waypoint/ }, arrival: { workload: waypoint.uid } })
  t.match(direct.notes, [/the waypoint decides/])
})

t.test('a source outside the mesh proves nothing, and no proxy sees it leave', async (t) => {
  const store = mesh(service, server)
  const source = aWorkload({ name: 'plain', tunnelProtocol: 'NONE' })
  const { route, arrival, choices, notes } = go(store, { source })
  t.equal(route, undefined)
  t.equal(arrival?.context.sourceIdentity, undefined)
  t.match(arrival, { workload: server.uid, verdict: { allowed: true } })
  t.equal(choices.length, 1)
  t.match(notes, [/not in the mesh/])
  const legacy = { ...server, tunnelProtocol: 'NONE' as const }
  t.equal(go(mesh(service, legacy), { source }).arrival, undefined, 'neither end is')
})

t.test('another network: the gateway is named, and that the rest is decided there', async (t) => {
  const gateway = aWorkload({ name: 'gateway', addresses: ['10.0.0.7'] })
  const remote = { ...server, network: 'far', networkGateway: atAddress('10.0.0.7') }
  const vouched = aService({
    subjectAltNames: ['spiffe://cluster.local/ns/default/sa/far'],
    ports: [aPort(80, 0)],
  })
  const there = { ...remote, services: new Map([[serviceKey(vouched), [aPort(80, 8080)]]]) }
  const { route, arrival, notes } = go(mesh(vouched, there, gateway))
  t.match(route, {
    kind: 'double-hbone',
    dial: '10.0.0.7:15008',
    innerIdentities: ['spiffe://cluster.local/ns/default/sa/far'],
    outcome: /within it HBONE/,
  })
  t.equal(arrival, undefined)
  t.match(notes, [/decided there/])
})

t.test('it can be written as JSON', async (t) => {
  const explanation = go(mesh(service, server))
  t.same(JSON.parse(JSON.stringify(explanation)), explanation)
})
