import t from 'tap'
import { silentLog } from '../identity/index.ts'
import type { Workload } from '../mesh/index.ts'
import { ADDRESS_TYPE, ResourceCache } from '../xds/index.ts'
import { workload } from '../xds/test-support.ts'
import { MeshPublisher } from './mesh-publisher.ts'

const mesh = (...workloads: Workload[]) => ({ workloads, services: [], policies: [] })

function setup() {
  const cache = new ResourceCache()
  const told: string[][] = []
  const errors: string[] = []
  const publisher = new MeshPublisher({
    cache,
    guard: { replace: (workloads) => void told.push(workloads.map(({ name }) => name)) },
    log: { ...silentLog, error: (_fields, message) => void errors.push(message) },
  })
  const names = () => [...(cache.table(ADDRESS_TYPE)?.resources.values() ?? [])].map(({ name }) => name)
  return { cache, publisher, told, errors, names }
}

t.test('of meshes that come while it is busy, the newest is served and the others never are', async (t) => {
  const { publisher, told, names, cache } = setup()
  const many = Array.from({ length: 5000 }, (_, index) => workload(`w${index}`))
  const first = performance.now()
  publisher.publish(mesh(...many))
  publisher.publish(mesh(workload('skipped')))
  publisher.publish(mesh(workload('last')))
  await publisher.idle()
  t.strictSame(names(), ['Kubernetes//Pod/foo/last'])
  t.strictSame(
    told.map(({ length }) => length),
    [5000, 1],
  )
  t.ok(cache.changedAt >= first)
})

t.test('the guard knows a workload before any proxy can', async (t) => {
  const { publisher, told, cache } = setup()
  let known: string[] | undefined
  cache.subscribe(() => {
    known = told.at(-1)
  })
  publisher.publish(mesh(workload('a')))
  await publisher.idle()
  t.strictSame(known, ['a'])
})

t.test('others get turns while a large mesh is encoded', async (t) => {
  const { publisher } = setup()
  const many = Array.from({ length: 30_000 }, (_, index) => workload(`w${index}`))
  let turns = 0
  const turn = setInterval(() => turns++, 1)
  t.teardown(() => clearInterval(turn))
  publisher.publish(mesh(...many))
  await publisher.idle()
  t.ok(turns > 1, `${turns} turns`)
})

t.test('a mesh that cannot be encoded leaves the one before it in force', async (t) => {
  const { publisher, errors, names } = setup()
  publisher.publish(mesh(workload('a')))
  await publisher.idle()
  publisher.publish(mesh(workload('b', { addresses: ['no address'] })))
  await publisher.idle()
  t.strictSame(names(), ['Kubernetes//Pod/foo/a'])
  t.match(errors, [/cannot be served/])
  publisher.publish(mesh(workload('c')))
  await publisher.idle()
  t.strictSame(names(), ['Kubernetes//Pod/foo/c'])
})
