import t from 'tap'
import { anHttpRoute } from '../mesh/http/route-test-support.ts'
import type { Workload } from '../mesh/model.ts'
import { MeshEncoder } from './mesh-encoder.ts'
import { meshResources } from './mesh-resources.ts'
import { sameValue } from './same-value.ts'
import { policy, service, workload } from './test-support.ts'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, ROUTE_TYPE } from './type-urls.ts'

const noTurn = async () => {}
const read = (...workloads: Workload[]) => ({
  services: [service('web')],
  policies: [policy('p')],
  routes: [anHttpRoute()],
  workloads,
})

t.test('what says the same again keeps its object and its bytes', async (t) => {
  const encoder = new MeshEncoder()
  const first = await encoder.encode(read(workload('a'), workload('b')), noTurn)
  const second = await encoder.encode(read(workload('a'), workload('b', { node: 'moved' })), noTurn)
  const [before, after] = [first, second].map(({ resources }) => resources.get(ADDRESS_TYPE) ?? [])
  t.equal(after?.[0], before?.[0], 'the service')
  t.equal(after?.[1], before?.[1], 'workload a')
  t.not(after?.[2]?.version, before?.[2]?.version, 'workload b')
  t.equal(second.mesh.workloads[0], first.mesh.workloads[0])
  t.equal(second.resources.get(AUTHORIZATION_TYPE)?.[0], first.resources.get(AUTHORIZATION_TYPE)?.[0])
  t.ok(first.resources.get(ROUTE_TYPE)?.[0], 'the route')
  t.equal(second.resources.get(ROUTE_TYPE)?.[0], first.resources.get(ROUTE_TYPE)?.[0])
})

t.test('it gives the resources that encoding everything gives', async (t) => {
  const encoder = new MeshEncoder()
  await encoder.encode(read(workload('a'), workload('gone')), noTurn)
  const mesh = read(workload('a', { capacity: 2 }), workload('new'))
  const { resources } = await encoder.encode(mesh, noTurn)
  for (const [typeUrl, all] of meshResources(mesh)) {
    const plain = (resources.get(typeUrl) ?? []).map(({ version, ...resource }) => resource)
    t.strictSame(plain, all)
  }
})

t.test('a large mesh is encoded in turns', async (t) => {
  let turns = 0
  const many = Array.from({ length: 20_000 }, (_, index) => workload(`w${index}`))
  await new MeshEncoder().encode(read(...many), async () => void turns++)
  t.ok(turns > 0, `${turns} turns for others`)
})

t.test('any difference counts, also that of one thing inside another', async (t) => {
  const ports = (port: number) => [{ servicePort: port, targetPort: 80, appProtocol: 'TCP' as const }]
  const one = workload('a', { services: new Map([['foo/web', ports(80)]]) })
  t.ok(sameValue(one, workload('a', { services: new Map([['foo/web', ports(80)]]) })))
  const others: Workload[] = [
    workload('a', { services: new Map([['foo/web', ports(81)]]) }),
    workload('a', { services: new Map([['foo/other', ports(80)]]) }),
    workload('a', { services: new Map() }),
    workload('a', { services: one.services, authorizationPolicies: ['foo/p'] }),
    workload('a', {
      services: one.services,
      waypoint: { kind: 'address', network: '', address: '10.0.0.1', hboneMtlsPort: 1 },
    }),
  ]
  for (const other of others) {
    t.notOk(sameValue(one, other))
    t.notOk(sameValue(other, one))
  }
  t.notOk(sameValue({}, []))
  t.notOk(sameValue([], {}))
  t.notOk(sameValue(new Map(), {}))
  t.notOk(sameValue({ a: undefined }, { b: undefined }))
  t.notOk(sameValue(null, {}))
})
