import t from 'tap'
import { MeshStore, serviceKey } from '../../mesh/index.ts'
import { aPolicy, aService, aWorkload } from '../../mesh/test-support.ts'
import { decodeChanges, MeshFeed } from './mesh-feed.ts'

/** Another thread's store, as far as it has been told. */
function replica() {
  const mesh = new MeshStore()
  const sizes: number[] = []
  const receive = (bytes: Uint8Array): void => {
    const changes = decodeChanges(bytes)
    sizes.push(changes.length)
    mesh.apply(changes)
  }
  return { mesh, sizes, receive }
}

const everything = (mesh: MeshStore) => ({
  workloads: [...mesh.workloads()].toSorted((a, b) => (a.uid < b.uid ? -1 : 1)),
  services: [...mesh.services()],
  policies: [...mesh.policies()].map((policy) => ({ ...policy })),
})

t.test('a receiver gets what is there, in slices, and then every change', async (t) => {
  const mesh = new MeshStore()
  const pods = Array.from({ length: 1200 }, (_, i) =>
    aWorkload({ name: `pod-${i}`, addresses: [`10.0.${i >> 8}.${i & 255}`] }),
  )
  mesh.apply(pods.map((workload) => ({ kind: 'upsert-workload', workload })))
  mesh.upsertService(aService({ name: 'web' }))
  mesh.upsertPolicy(aPolicy({ name: 'allow' }))
  const feed = new MeshFeed(mesh)
  t.teardown(() => feed.close())
  const { mesh: copy, sizes, receive } = replica()
  await feed.add(receive)
  t.same(everything(copy), everything(mesh))
  t.ok(sizes.length > 2 && Math.max(...sizes) <= 500, `slices of ${sizes}`)

  mesh.removePolicy('default/allow')
  mesh.removeWorkload(pods[0]?.uid ?? '')
  mesh.upsertWorkload({ ...(pods[1] ?? aWorkload()), status: 'UNHEALTHY' })
  for (const service of [...mesh.services()]) mesh.removeService(serviceKey(service))
  mesh.upsertPolicy(aPolicy({ name: 'deny', action: 'DENY' }))
  t.same(everything(copy), everything(mesh))
  t.equal(copy.workload(pods[1]?.uid ?? '')?.status, 'UNHEALTHY')

  feed.remove(receive)
  const told = sizes.length
  mesh.removePolicy('default/deny')
  t.equal(sizes.length, told, 'whoever has gone is told nothing')
})

t.test('what changes while a receiver is given the mesh is not lost', async (t) => {
  const mesh = new MeshStore()
  const pods = Array.from({ length: 1200 }, (_, i) => aWorkload({ name: `pod-${i}`, addresses: [] }))
  mesh.apply(pods.map((workload) => ({ kind: 'upsert-workload', workload })))
  const feed = new MeshFeed(mesh)
  t.teardown(() => feed.close())
  const { mesh: copy, receive } = replica()
  const added = feed.add(receive)
  // One that has been sent, one that has not, and one that is new.
  for (const i of [0, 1199]) mesh.removeWorkload(pods[i]?.uid ?? '')
  mesh.upsertWorkload({ ...(pods[1198] ?? aWorkload()), status: 'UNHEALTHY' })
  mesh.upsertWorkload(aWorkload({ name: 'late', addresses: [] }))
  await added
  t.same(everything(copy), everything(mesh))
  t.equal([...copy.workloads()].length, 1199)
})
