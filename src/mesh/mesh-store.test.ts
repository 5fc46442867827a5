import t from 'tap'
import { authorize } from './authorize.ts'
import type { MeshUpdate } from './mesh-change.ts'
import { MeshStore } from './mesh-store.ts'
import type { Service, Workload } from './model.ts'
import { serviceKey } from './names.ts'
import { aPolicy, aPort, aService, aWorkload } from './test-support.ts'

const VIP = { network: '', address: '10.96.0.1' }
const server = aService()
const key = serviceKey(server)

const endpoint = (name: string, overrides: Partial<Workload> = {}): Workload =>
  aWorkload({ name, services: new Map([[key, [aPort(80, 8080)]]]), ...overrides })
const names = (store: MeshStore): string[] => store.endpoints(key).map(({ workload }) => workload.name)
const inNamespace = (namespace: string, overrides: Partial<Service> = {}): Service =>
  aService({ namespace, hostname: 'shared.example', ...overrides })

t.test('a batch is one revision and one notice, after the whole of it', async (t) => {
  const store = new MeshStore()
  const heard: MeshUpdate[] = []
  store.subscribe((update) => {
    heard.push(update)
    t.ok(store.workload('Kubernetes//Pod/default/a'), 'the batch is in')
  })
  const update = store.apply([
    { kind: 'upsert-service', service: server },
    { kind: 'upsert-workload', workload: endpoint('a') },
    { kind: 'upsert-workload', workload: endpoint('a', { node: 'n2' }) },
    { kind: 'upsert-workload', workload: endpoint('b') },
    { kind: 'remove-workload', uid: 'Kubernetes//Pod/default/b' },
    { kind: 'upsert-policy', policy: aPolicy() },
  ])
  t.same(update, {
    revision: 1,
    workloads: ['Kubernetes//Pod/default/a', 'Kubernetes//Pod/default/b'],
    services: [key],
    policies: ['default/policy'],
  })
  t.same(heard, [update])
  t.equal(store.workload('Kubernetes//Pod/default/b'), undefined)
})

t.test('removing what is not there is no change', async (t) => {
  const store = new MeshStore()
  store.subscribe(() => t.fail('nobody is told'))
  store.removeWorkload('x')
  store.removeService('a/b')
  store.removePolicy('a/b')
  store.apply([{ kind: 'remove-address', name: 'neither' }])
  t.equal(store.revision, 0)
})

t.test('subscribers come and go, also while they are told', async (t) => {
  const store = new MeshStore()
  let first = 0
  let second = 0
  const stop = store.subscribe(() => {
    first++
    stop()
    store.subscribe(() => second++)
  })
  store.upsertWorkload(aWorkload())
  store.upsertWorkload(aWorkload())
  t.same([first, second], [1, 1])
})

t.test('10.8 a removed address is a workload first, then a service', async (t) => {
  const store = new MeshStore()
  store.upsertService(server)
  store.upsertWorkload(aWorkload({ uid: key }))
  store.apply([{ kind: 'remove-address', name: key }])
  t.equal(store.workload(key), undefined)
  t.ok(store.service(key))
  store.apply([{ kind: 'remove-address', name: key }])
  t.equal(store.service(key), undefined)
})

t.test('3.15 several workloads on one address', async (t) => {
  const store = new MeshStore()
  const at = (): string | undefined => store.workloadByAddress({ network: '', address: '10.0.0.1' })?.uid
  store.upsertWorkload(aWorkload({ uid: 'entry-hbone' }))
  store.upsertWorkload(aWorkload({ uid: 'entry-plain', tunnelProtocol: 'NONE' }))
  t.equal(at(), 'entry-hbone', 'HBONE before plain')
  store.upsertWorkload(aWorkload({ uid: 'c//Pod/a/1', tunnelProtocol: 'NONE' }))
  t.equal(at(), 'c//Pod/a/1', 'a pod before all else')
  store.upsertWorkload(aWorkload({ uid: 'c//Pod/a/2', tunnelProtocol: 'NONE' }))
  t.equal(at(), 'c//Pod/a/2', 'of equals the last')
  store.upsertWorkload(aWorkload({ uid: 'c//Pod/a/3', networkMode: 'HOST_NETWORK' }))
  t.equal(at(), 'c//Pod/a/2', 'host network is not in the index')
  store.upsertWorkload(aWorkload({ uid: 'c//Pod/a/4', network: 'other' }))
  t.equal(at(), 'c//Pod/a/2', 'another network is another address')
  store.removeWorkload('c//Pod/a/2')
  t.equal(at(), 'c//Pod/a/1')
  store.upsertWorkload(aWorkload({ uid: 'c//Pod/a/1', addresses: ['10.0.0.9', '10.0.0.9'] }))
  t.equal(at(), 'entry-hbone', 'an address that was given up')
  store.removeWorkload('c//Pod/a/1')
  t.equal(store.workloadByAddress({ network: '', address: '10.0.0.9' }), undefined)
})

t.test('3.3 the local workload is found by name on this node', async (t) => {
  const here = aWorkload({ name: 'here' })
  const there = aWorkload({ name: 'there', node: 'n2' })
  const store = new MeshStore({ node: 'n1' })
  const anywhere = new MeshStore()
  for (const workload of [here, there]) {
    store.upsertWorkload(workload)
    anywhere.upsertWorkload(workload)
  }
  t.equal(store.localWorkload('here', 'default', 'here')?.uid, here.uid)
  t.equal(store.localWorkload('here', 'default', 'other'), undefined)
  t.equal(store.localWorkload('there', 'default', 'there'), undefined)
  t.equal(anywhere.localWorkload('there', 'default', 'there')?.uid, there.uid)
  store.upsertWorkload({ ...here, node: 'n2' })
  t.equal(store.localWorkload('here', 'default', 'here'), undefined, 'moved away')
})

t.test('istio 2.7 the identities of a node', async (t) => {
  const store = new MeshStore()
  store.upsertWorkload(aWorkload({ name: 'a1', serviceAccount: 'a' }))
  store.upsertWorkload(aWorkload({ name: 'a2', serviceAccount: 'a', clusterId: 'c2' }))
  store.upsertWorkload(aWorkload({ name: 'b', node: 'n2' }))
  store.upsertWorkload(aWorkload({ name: 'nowhere', node: '' }))
  t.same(
    [...store.identitiesOnNode('n1')],
    [{ trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'a' }],
  )
  t.ok(store.hasIdentityOnNode('n1', 'default', 'a'))
  t.ok(store.hasIdentityOnNode('n1', 'default', 'a', 'c2'))
  t.notOk(store.hasIdentityOnNode('n1', 'default', 'a', 'c3'))
  t.notOk(store.hasIdentityOnNode('n1', 'default', 'b'))
  t.notOk(store.hasIdentityOnNode('', 'default', 'nowhere'), 'unscheduled is on no node')
  t.same([...store.identitiesOnNode('')], [])
  store.removeWorkload('Kubernetes//Pod/default/a1')
  t.ok(store.hasIdentityOnNode('n1', 'default', 'a'), 'another pod has it')
  store.removeWorkload('Kubernetes//Pod/default/a2')
  t.notOk(store.hasIdentityOnNode('n1', 'default', 'a'))
  t.same([...store.identitiesOnNode('n1')], [])
})

t.test('workloads by hostname', async (t) => {
  const store = new MeshStore()
  store.upsertWorkload(aWorkload({ name: 'a', hostname: 'db.example', addresses: [] }))
  t.equal(store.workloadByHostname('default', 'db.example')?.name, 'a')
  t.equal(store.workloadByHostname('other', 'db.example'), undefined)
  store.removeWorkload('Kubernetes//Pod/default/a')
  t.equal(store.workloadByHostname('default', 'db.example'), undefined)
})

t.test('3.14 the best service for a hostname or an address', async (t) => {
  const cases: readonly {
    name: string
    services: readonly Service[]
    client: string | undefined
    expected: string | undefined
  }[] = [
    { name: 'the first', services: [inNamespace('a'), inNamespace('b')], client: 'x', expected: 'a' },
    {
      name: 'the last canonical one',
      services: [
        inNamespace('a', { canonical: true }),
        inNamespace('b', { canonical: true }),
        inNamespace('c'),
      ],
      client: 'x',
      expected: 'b',
    },
    {
      name: "the client's own namespace",
      services: [inNamespace('a', { canonical: true }), inNamespace('b')],
      client: 'b',
      expected: 'b',
    },
    {
      name: 'a hidden one is unknown (surprise 16)',
      services: [inNamespace('a', { visibility: 'NAMESPACE' })],
      client: 'x',
      expected: undefined,
    },
    {
      name: 'its own namespace sees it',
      services: [inNamespace('a', { visibility: 'NAMESPACE' })],
      client: 'a',
      expected: 'a',
    },
    {
      name: 'without a client nothing is hidden',
      services: [inNamespace('a', { visibility: 'NAMESPACE' })],
      client: undefined,
      expected: 'a',
    },
  ]
  for (const { name, services, client, expected } of cases) {
    const store = new MeshStore()
    for (const service of services) store.upsertService(service)
    t.equal(store.serviceByHostname('shared.example', client)?.namespace, expected, name)
    t.equal(store.serviceByAddress(VIP, client)?.namespace, expected, name)
  }
})

t.test('3.14 blocks', async (t) => {
  const block = (namespace: string, cidr: string, overrides: Partial<Service> = {}): Service =>
    inNamespace(namespace, { addresses: [], cidrs: [{ network: '', cidr }], ...overrides })
  const best = (services: readonly Service[], client: string | undefined): string | undefined => {
    const store = new MeshStore()
    for (const service of services) store.upsertService(service)
    return store.serviceByAddress({ network: '', address: '10.1.2.3' }, client)?.namespace
  }
  t.equal(best([block('a', '10.0.0.0/8'), block('b', '10.1.0.0/16')], 'x'), 'b', 'longest prefix')
  t.equal(best([block('a', '10.0.0.0/8'), block('b', '10.1.0.0/16')], 'a'), 'a', 'own namespace first')
  t.equal(
    best([block('a', '10.1.0.0/16'), block('b', '10.1.9.9/16', { canonical: true })], 'x'),
    'b',
    'canonical',
  )
  t.equal(best([block('a', '10.1.0.0/16'), block('b', '10.1.0.0/16')], 'x'), 'a', 'then the first')
  t.equal(
    best([block('a', '10.1.0.0/16', { visibility: 'NAMESPACE' }), block('b', '10.0.0.0/8')], 'x'),
    'b',
    'hidden',
  )
  t.equal(best([block('a', '10.2.0.0/16')], 'x'), undefined)
  const whole = block('c', '10.1.2.3/32')
  t.equal(
    best([block('a', '10.1.2.3/31', { namespace: 'a' }), whole], 'a'),
    'c',
    'a block of one is an exact address',
  )
  t.equal(
    best([{ ...whole, visibility: 'NAMESPACE' }, block('a', '10.0.0.0/8')], 'x'),
    'a',
    'an exact address that is hidden leaves it to the blocks',
  )
})

t.test('services by address are per network and follow updates', async (t) => {
  const store = new MeshStore()
  store.upsertService(server)
  t.equal(store.serviceByAddress({ network: 'other', address: VIP.address }, undefined), undefined)
  store.upsertService({ ...server, addresses: [{ network: '', address: '::FFFF:10.96.0.2' }] })
  t.equal(store.serviceByAddress(VIP, undefined), undefined)
  t.ok(store.serviceByAddress({ network: '', address: '10.96.0.2' }, undefined), 'canonical')
  store.removeService(key)
  t.equal(store.serviceByAddress({ network: '', address: '10.96.0.2' }, undefined), undefined)
  t.equal(store.serviceByHostname(server.hostname, undefined), undefined)
})

t.test('10.9 endpoints arrive before their service, and outlive its removal', async (t) => {
  const store = new MeshStore()
  store.upsertWorkload(endpoint('a'))
  t.same(names(store), [], 'staged')
  store.upsertService(server)
  t.same(names(store), ['a'])
  t.same([...(store.endpoints(key)[0]?.ports ?? [])], [[80, 8080]])
  store.removeService(key)
  t.same(names(store), [])
  store.upsertService(server)
  t.same(names(store), ['a'])
  store.upsertWorkload(endpoint('a', { services: new Map() }))
  t.same(names(store), [], 'no longer an endpoint')
})

t.test('3.12 health is judged on reading (surprise 14: ours brings endpoints back)', async (t) => {
  const store = new MeshStore()
  store.upsertService(server)
  store.upsertWorkload(endpoint('good'))
  store.upsertWorkload(endpoint('bad', { status: 'UNHEALTHY' }))
  t.same(names(store), ['good'])
  store.upsertService({ ...server, loadBalancing: { ...server.loadBalancing, healthPolicy: 'ALLOW_ALL' } })
  t.same(names(store), ['good', 'bad'])
  store.upsertService(server)
  t.same(names(store), ['good'])
  store.upsertWorkload(endpoint('bad'))
  t.same(names(store), ['good', 'bad'])
})

t.test('an endpoint mapping to port 0 says nothing', async (t) => {
  const store = new MeshStore()
  store.upsertService(server)
  store.upsertWorkload(endpoint('a', { services: new Map([[key, [aPort(80, 0), aPort(81, 8081)]]]) }))
  t.same([...(store.endpoints(key)[0]?.ports ?? [])], [[81, 8081]])
})

t.test('8.1, 8.2 the policies that bear on a workload', async (t) => {
  const store = new MeshStore()
  const put = (name: string, namespace: string, scope: 'GLOBAL' | 'NAMESPACE' | 'WORKLOAD_SELECTOR'): void =>
    store.upsertPolicy(aPolicy({ name, namespace, scope }))
  put('global', 'istio-system', 'GLOBAL')
  put('own', 'default', 'NAMESPACE')
  put('other', 'elsewhere', 'NAMESPACE')
  put('nameless', '', 'NAMESPACE')
  put('selected', 'default', 'WORKLOAD_SELECTOR')
  put('not-selected', 'default', 'WORKLOAD_SELECTOR')
  const applied = (...authorizationPolicies: string[]): string[] =>
    store.policiesFor(aWorkload({ authorizationPolicies })).map(({ name }) => name)
  t.same(applied().sort(), ['global', 'nameless', 'own'])
  t.same(applied('default/selected').sort(), ['global', 'nameless', 'own', 'selected'])
  t.same(applied('elsewhere/other').sort(), ['global', 'nameless', 'other', 'own'], 'whatever its scope')
  t.same(applied('default/own').sort(), ['global', 'nameless', 'own'], 'each once')
  t.same(applied('default/gone').sort(), ['global', 'nameless', 'own'])
  const listing = aWorkload({ authorizationPolicies: ['default/gone', 'default/own', 'default/gone'] })
  t.same(store.unknownPolicies(listing), ['default/gone'])
  put('own', 'default', 'WORKLOAD_SELECTOR')
  t.same(applied().sort(), ['global', 'nameless'], 'a scope that changed')
  store.removePolicy('istio-system/global')
  store.removePolicy('/nameless')
  t.same(applied(), [])
  t.equal([...store.policies()].length, 4)
})

t.test('policies of the store are ready for authorize', async (t) => {
  const store = new MeshStore()
  store.upsertPolicy(aPolicy({ action: 'DENY', scope: 'NAMESPACE', rules: [[]] }))
  const verdict = authorize(store.policiesFor(aWorkload()), {
    sourceIdentity: undefined,
    sourceAddress: '10.0.0.1',
    destinationAddress: '10.0.0.2',
    destinationPort: 80,
  })
  t.equal(verdict.message, 'explicitly denied by: default/policy')
})

t.test('what workloads have in common is stored once', async (t) => {
  const store = new MeshStore()
  for (const name of ['a', 'b']) {
    store.upsertWorkload(endpoint(name, { locality: { region: 'r', zone: 'z', subzone: '' } }))
  }
  const [a, b] = [...store.workloads()]
  t.equal(a?.services, b?.services)
  t.equal(a?.locality, b?.locality)
  t.same(
    a,
    endpoint('a', { locality: { region: 'r', zone: 'z', subzone: '' } }),
    'and equal to what was given',
  )
})
