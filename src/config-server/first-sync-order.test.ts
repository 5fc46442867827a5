// At its first sync, and at each later one, a proxy must not have a workload
// in force without the policy that the workload names.
import t from 'tap'
import { MeshStore } from '../mesh/index.ts'
import {
  ADDRESS_TYPE,
  AddressHandler,
  AUTHORIZATION_TYPE,
  AuthorizationHandler,
  type MeshTarget,
} from '../xds/index.ts'
import { AMBIENT_NAMESPACE, pod, testClient, testMesh, until } from './test-support.ts'

const PODS = 1_200
const policy = (name: string) => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: foo}
spec: {selector: {matchLabels: {app: all}}}
`
const pods = Array.from({ length: PODS }, (_, i) =>
  pod(`p${i}`, { ip: `10.1.${i >> 8}.${i & 255}` }).replace(
    'namespace: foo}',
    'namespace: foo, labels: {app: all}}',
  ),
).join('')

/** Looks at every state that the mesh is ever in. */
class WatchedMesh implements MeshTarget {
  readonly store = new MeshStore()
  /** Workloads, by state, that name a policy which is not there. */
  readonly gaps: number[] = []

  apply(changes: Parameters<MeshTarget['apply']>[0]): void {
    this.store.apply(changes)
    const known = new Set([...this.store.policies()].map(({ namespace, name }) => `${namespace}/${name}`))
    const bare = [...this.store.workloads()].filter(({ authorizationPolicies }) =>
      authorizationPolicies.some((name) => !known.has(name)),
    )
    this.gaps.push(bare.length)
  }
}

t.test('no workload is ever without the policies that it names', async (t) => {
  const mesh = testMesh(t, { 'ns.yaml': AMBIENT_NAMESPACE, 'pods.yaml': pods, 'policy.yaml': policy('one') })
  const server = await mesh.start()
  const { port } = server.address
  const watched = new WatchedMesh()
  const { client } = testClient(
    t,
    mesh,
    port,
    () => server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 }),
    { types: [new AddressHandler(watched), new AuthorizationHandler(watched)] },
  )
  client.start()
  await Promise.all([client.synced(ADDRESS_TYPE), client.synced(AUTHORIZATION_TYPE)])
  const names = () => [...watched.store.policies()].map(({ name }) => name).join()
  const named = () =>
    new Set([...watched.store.workloads()].flatMap((workload) => workload.authorizationPolicies))
  t.strictSame([...named()], ['foo/one'])
  // Nothing is served before both have come: of the first sync only the end counts.
  t.equal(watched.gaps.at(-1), 0)

  watched.gaps.length = 0
  await mesh.write('policy.yaml', policy('two'))
  await until('the other policy', () => names() === 'two' && named().has('foo/two'))
  t.ok(watched.gaps.length >= 3, `${watched.gaps.length} states`)
  t.strictSame([...new Set(watched.gaps)], [0], 'while it runs')

  watched.gaps.length = 0
  await server.close()
  await mesh.write('policy.yaml', policy('three'))
  await mesh.start({ listen: { host: '127.0.0.1', port } })
  await until('the third policy', () => names() === 'three' && named().has('foo/three'))
  t.strictSame([...new Set(watched.gaps)], [0], 'when it comes back')
})
