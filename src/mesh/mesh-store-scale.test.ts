import t from 'tap'
import { MeshStore } from './mesh-store.ts'
import type { Port, Service, ServiceKey, Workload } from './model.ts'
import { serviceKey } from './names.ts'
import { resolveOutbound } from './resolve.ts'
import { aPort, aService, aWorkload } from './test-support.ts'

const WORKLOADS = 100_000
const SERVICES = 10_000
const NODES = 1_000

/** A string of its own in memory, as a decoder makes them. */
const fresh = (text: string): string => Buffer.from(text).toString()
const addressOf = (first: number, i: number): string => `${first}.${i >> 16}.${(i >> 8) & 255}.${i & 255}`

t.test('100,000 workloads and 10,000 services', async (t) => {
  const store = new MeshStore({ node: 'node-1' })
  const before = heapUsed()
  const loading = performance.now()
  for (let i = 0; i < SERVICES; i++) store.upsertService(serviceNumber(i))
  store.apply(workloads())
  const loaded = performance.now() - loading
  t.comment(`loaded in ${loaded.toFixed(0)} ms, holding ${(heapUsed() - before).toFixed(0)} MB`)

  const updating = performance.now()
  for (let i = 0; i < 10_000; i++) store.upsertWorkload(workloadNumber(i * 7))
  t.comment(`one update: ${per(updating, 10_000)}`)

  const source = store.workload(workloadNumber(1).uid)
  if (source === undefined) throw new Error('the source is missing')
  const input = { source, network: '', random: Math.random, illegalPorts: new Set<number>() }
  let hbone = 0
  const resolving = performance.now()
  for (let i = 0; i < 100_000; i++) {
    const toService = { address: addressOf(11, i % SERVICES), port: 80 }
    const toPod = { address: addressOf(10, i), port: 8080 }
    const route = resolveOutbound(store, { ...input, destination: i % 2 === 0 ? toService : toPod })
    if (route.kind === 'hbone') hbone++
  }
  t.comment(`one route: ${per(resolving, 100_000)}`)
  t.equal(hbone, 100_000)
  t.equal(store.endpoints(serviceKey(serviceNumber(3))).length, WORKLOADS / SERVICES)
  t.equal([...store.identitiesOnNode('node-1')].length, SERVICES / NODES, 'one for each account')

  for (let i = 0; i < WORKLOADS; i++) store.removeWorkload(workloadNumber(i).uid)
  t.equal([...store.workloads()].length, 0)
  t.same(store.endpoints(serviceKey(serviceNumber(3))), [])
  t.same([...store.identitiesOnNode('node-1')], [])
})

function* workloads(): Iterable<{ kind: 'upsert-workload'; workload: Workload }> {
  for (let i = 0; i < WORKLOADS; i++) yield { kind: 'upsert-workload', workload: workloadNumber(i) }
}

function workloadNumber(i: number): Workload {
  const service = i % SERVICES
  const namespace = fresh(`namespace-${service % 100}`)
  const app = fresh(`deployment-${service}`)
  const key: ServiceKey = serviceKey(serviceNumber(service))
  const services: [ServiceKey, Port[]][] = [[key, [aPort(80, 8080), aPort(443, 8443)]]]
  return aWorkload({
    uid: fresh(`Kubernetes//Pod/${namespace}/${app}-${i}`),
    name: fresh(`${app}-${i}`),
    namespace,
    serviceAccount: app,
    trustDomain: fresh('cluster.local'),
    addresses: [addressOf(10, i)],
    node: fresh(`node-${i % NODES}`),
    clusterId: fresh('Kubernetes'),
    workloadName: fresh(app),
    canonicalName: fresh(app),
    canonicalRevision: fresh('latest'),
    services: new Map(services),
    authorizationPolicies: [fresh('istio-system/istio_converted_static_strict')],
    locality: { region: fresh('region-1'), zone: fresh(`zone-${i % 3}`), subzone: '' },
  })
}

function serviceNumber(i: number): Service {
  return aService({
    name: `service-${i}`,
    namespace: `namespace-${i % 100}`,
    addresses: [{ network: '', address: addressOf(11, i) }],
    ports: [aPort(80, 8080), aPort(443, 8443)],
  })
}

function per(since: number, count: number): string {
  return `${(((performance.now() - since) * 1_000) / count).toFixed(2)} µs`
}

function heapUsed(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 1e6
}
