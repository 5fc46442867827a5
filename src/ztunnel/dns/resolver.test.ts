import t from 'tap'
import { MeshStore, type Service } from '../../mesh/index.ts'
import { aPort, aService, aWorkload } from '../../mesh/test-support.ts'
import { type Resolution, type ResolverSettings, resolveName } from './resolver.ts'
import { CLIENT, SETTINGS } from './test-support.ts'

interface Question {
  readonly name: string
  readonly family?: 4 | 6
  readonly settings?: Partial<ResolverSettings>
}

function resolve(
  services: readonly Service[],
  question: Question,
  workloads: readonly Parameters<typeof aWorkload>[0][] = [],
): Resolution {
  const mesh = new MeshStore()
  for (const service of services) mesh.upsertService(service)
  for (const workload of workloads) mesh.upsertWorkload(aWorkload(workload))
  const { name, family = 4, settings } = question
  return resolveName(mesh, { name, family, client: CLIENT, random: () => 0 }, { ...SETTINGS, ...settings })
}

const at = (...addresses: string[]): Pick<Service, 'addresses'> => ({
  addresses: addresses.map((address) => ({ network: '', address })),
})
const web = aService({ name: 'web', namespace: 'bar', ...at('10.96.0.7') })
const known = (addresses: readonly string[], more: object = {}): object => ({
  kind: 'known',
  addresses,
  ...more,
})

t.test('12.3 a service is found by all of its names', async (t) => {
  const local = aService({ name: 'web', namespace: 'foo', ...at('10.96.0.8') })
  const table: readonly (readonly [string, string])[] = [
    ['web.bar.svc.cluster.local', '10.96.0.7'],
    ['web.bar.svc', '10.96.0.7'],
    ['web.bar', '10.96.0.7'],
    ['web', '10.96.0.8'],
    ['web.bar.foo.svc.cluster.local', '10.96.0.7'],
    ['web.foo.svc.cluster.local', '10.96.0.8'],
    ['web.bar.svc.svc.cluster.local', '10.96.0.7'],
  ]
  for (const [name, address] of table) t.match(resolve([web, local], { name }), known([address]), name)
  t.strictSame(resolve([web, local], { name: 'other.bar' }), { kind: 'unknown' })
})

t.test('12.3 dedicated mode takes the search list of resolv.conf', async (t) => {
  const entry = aService({ hostname: 'api.example.com', namespace: 'bar', ...at('240.240.0.1') })
  const question = { name: 'api.example.com.corp.test' }
  t.strictSame(resolve([entry], question), { kind: 'unknown' })
  t.match(
    resolve([entry], { ...question, settings: { searchDomains: ['corp.test'] } }),
    known(['240.240.0.1'], { alias: 'api.example.com' }),
  )
})

t.test('12.3 the cluster domain is configured', async (t) => {
  const elsewhere = aService({ hostname: 'web.bar.svc.mesh.test', namespace: 'bar' })
  t.match(resolve([elsewhere], { name: 'web.bar', settings: { clusterDomain: 'mesh.test' } }), {
    kind: 'known',
  })
  t.strictSame(resolve([elsewhere], { name: 'web.bar' }), { kind: 'unknown' })
})

t.test('12.4 wildcard services, the exact one first', async (t) => {
  const wild = aService({ hostname: '*.example.com', namespace: 'bar', ...at('240.240.0.2') })
  const exact = aService({ hostname: 'api.example.com', namespace: 'bar', ...at('240.240.0.3') })
  t.match(resolve([wild, exact], { name: 'api.example.com' }), known(['240.240.0.3']))
  t.match(resolve([wild, exact], { name: 'a.b.example.com' }), known(['240.240.0.2']))
  t.strictSame(resolve([wild, exact], { name: 'example.com' }), { kind: 'unknown' })
  const everything = aService({ hostname: '*', namespace: 'bar' })
  t.strictSame(resolve([everything], { name: 'example.com' }), { kind: 'unknown' }, 'never the bare one')
})

t.test('12.5 which services are answered for', async (t) => {
  const name = 'api.example.com'
  const entry = aService({ hostname: name, namespace: 'bar', ...at('240.240.0.1') })
  const cidr = { cidrs: [{ network: '', cidr: '10.9.0.0/16' }] }
  const table: readonly (readonly [string, Service[], object])[] = [
    ['with an address', [entry], known(['240.240.0.1'])],
    ['without any, not of the cluster', [{ ...entry, addresses: [] }], { kind: 'unknown' }],
    ['with a block only', [{ ...entry, addresses: [], ...cidr }], { kind: 'unknown' }],
    ['of its own namespace only', [{ ...entry, visibility: 'NAMESPACE' }], { kind: 'unknown' }],
    [
      'one without addresses does not hide one that has them',
      [{ ...entry, namespace: 'foo', addresses: [] }, entry],
      known(['240.240.0.1']),
    ],
  ]
  for (const [what, services, expected] of table) t.match(resolve(services, { name }), expected, what)
  const headless = aService({ name: 'db', namespace: 'bar', addresses: [] })
  t.match(resolve([headless], { name: 'db.bar' }), known([]), 'headless, without endpoints')
  t.strictSame(
    resolve([headless], { name: 'db-0.db.bar' }),
    { kind: 'unknown' },
    'a pod of it is not looked up',
  )
})

t.test('12.5 whose service it is when several have the name', async (t) => {
  const name = 'api.example.com'
  const of = (namespace: string, address: string, more: Partial<Service> = {}): Service =>
    aService({ hostname: name, namespace, ...at(address), ...more })
  const [a, b, foo] = [of('a', '10.0.0.1'), of('b', '10.0.0.2'), of('foo', '10.0.0.3')]
  const canonical = of('c', '10.0.0.4', { canonical: true })
  const preferred = { settings: { preferredNamespace: 'b' } }
  const table: readonly (readonly [string, Service[], object, string])[] = [
    ['the first', [a, b], {}, '10.0.0.1'],
    ['the preferred namespace', [a, b], preferred, '10.0.0.2'],
    ['a canonical one before that', [a, b, canonical], preferred, '10.0.0.4'],
    ['the own namespace before all', [a, b, canonical, foo], preferred, '10.0.0.3'],
  ]
  for (const [what, services, question, address] of table)
    t.match(resolve(services, { name, ...question }), known([address]), what)
})

t.test('12.6 virtual addresses of the client’s network and the queried family', async (t) => {
  const service = aService({
    name: 'web',
    namespace: 'bar',
    addresses: [
      { network: '', address: '10.96.0.7' },
      { network: '', address: 'fd00::7' },
      { network: 'far', address: '10.96.0.8' },
    ],
  })
  const name = 'web.bar'
  t.match(resolve([service], { name }), known(['10.96.0.7'], { familyExcluded: false }))
  t.match(resolve([service], { name, family: 6 }), known(['fd00::7']))
  t.match(
    resolve([service], { name, family: 6, settings: { ipv6Enabled: false } }),
    known([], { familyExcluded: true }),
  )
  t.match(
    resolve([{ ...service, ipFamilies: 'IPV4_ONLY' }], { name, family: 6 }),
    known([], { familyExcluded: true }),
  )
  t.match(resolve([{ ...service, ipFamilies: 'IPV6_ONLY' }], { name }), known([], { familyExcluded: true }))
  t.match(
    resolve([web], { name, family: 6 }),
    known([], { familyExcluded: false }),
    'known, without such an address',
  )
})

t.test('12.6 a headless service is its endpoints, one address each', async (t) => {
  const db = aService({ name: 'db', namespace: 'bar', addresses: [] })
  const services = new Map([['bar/db.bar.svc.cluster.local', [aPort(80, 80)]]] as const)
  const endpoint = (name: string, addresses: string[], more: object = {}) => ({
    name,
    namespace: 'bar',
    addresses,
    services,
    ...more,
  })
  const workloads = [
    endpoint('db-0', ['10.1.0.1', '10.1.0.2', 'fd00::1']),
    endpoint('db-1', ['10.1.0.3']),
    endpoint('sick', ['10.1.0.4'], { status: 'UNHEALTHY' }),
    endpoint('far', ['10.1.0.5'], { network: 'far' }),
  ]
  const addresses = (family: 4 | 6): readonly string[] => {
    const found = resolve([db], { name: 'db.bar', family }, workloads)
    return found.kind === 'known' ? found.addresses.toSorted() : []
  }
  t.strictSame(addresses(4), ['10.1.0.1', '10.1.0.3'])
  t.strictSame(addresses(6), ['fd00::1'])
})

t.test('12.6 every order of the addresses comes up', async (t) => {
  const mesh = new MeshStore()
  mesh.upsertService(aService({ name: 'web', namespace: 'bar', ...at('10.0.0.1', '10.0.0.2', '10.0.0.3') }))
  const orders = new Map<string, number>()
  for (let n = 0; n < 3000; n++) {
    const query = { name: 'web.bar', family: 4, client: CLIENT, random: Math.random } as const
    const found = resolveName(mesh, query, SETTINGS)
    const order = found.kind === 'known' ? found.addresses.join() : ''
    orders.set(order, (orders.get(order) ?? 0) + 1)
  }
  t.equal(orders.size, 6)
  // 500 expected, standard deviation 20.
  for (const [order, count] of orders) t.ok(count > 350 && count < 650, `${order}: ${count}`)
})

t.test('12.7 the alias: without the search domain, but never through a wildcard', async (t) => {
  const wild = aService({ hostname: '*.example.com', namespace: 'bar', ...at('240.240.0.2') })
  const table: readonly (readonly [string, string | undefined])[] = [
    ['web.bar.svc.cluster.local', undefined],
    ['web.bar', undefined],
    ['web.bar.foo.svc.cluster.local', 'web.bar'],
    ['web.bar.svc.svc.cluster.local', 'web.bar.svc'],
    ['api.example.com.foo.svc.cluster.local', undefined],
  ]
  for (const [name, alias] of table) {
    const found = resolve([web, wild], { name })
    t.equal(found.kind === 'known' ? found.alias : found.kind, alias, name)
  }
})
