import t from 'tap'
import { MeshStore } from '../mesh/index.ts'
import { ADDRESS_TYPE, AddressHandler, AUTHORIZATION_TYPE, AuthorizationHandler } from '../xds/index.ts'
import { AMBIENT_NAMESPACE, pod, testClient, testMesh } from './test-support.ts'

const SERVICE = `---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: foo}
spec: {clusterIP: 10.96.0.1, selector: {app: a}, ports: [{port: 80}]}
`

t.test('an on-demand proxy knows what it asked for and nothing else', async (t) => {
  const labelled = pod('a').replace('namespace: foo}', 'namespace: foo, labels: {app: a}}')
  const mesh = testMesh(t, {
    'ns.yaml': AMBIENT_NAMESPACE,
    'a.yaml': labelled,
    'b.yaml': pod('b', { ip: '10.0.0.2' }),
    's.yaml': SERVICE,
  })
  const server = await mesh.start()
  const store = new MeshStore()
  const token = () => server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 })
  const { client } = testClient(t, mesh, server.address.port, token, {
    types: [new AddressHandler(store, { onDemand: true }), new AuthorizationHandler(store)],
  })
  client.start()
  await Promise.all([client.synced(ADDRESS_TYPE), client.synced(AUTHORIZATION_TYPE)])
  t.equal([...store.workloads()].length, 0)
  await Promise.all([client.demand(ADDRESS_TYPE, '/10.0.0.2'), client.demand(ADDRESS_TYPE, '/10.7.7.7')])
  t.strictSame(
    [...store.workloads()].map(({ name }) => name),
    ['b'],
  )
  await client.demand(ADDRESS_TYPE, '/10.96.0.1')
  t.equal([...store.services()].length, 1)
  await client.demand(ADDRESS_TYPE, 'foo/a.foo.svc.cluster.local')
  t.match(
    [...store.endpoints('foo/a.foo.svc.cluster.local')],
    [{ workload: { name: 'a' } }],
    'a service brings its workloads',
  )
})
