import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import t from 'tap'
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import { WHOLE_MESH_RESOURCES } from './client-type.ts'
import { DeltaSession } from './delta-session.ts'
import { encodeResource } from './encode-resources.ts'
import { silentLog } from './log.ts'
import { meshResources } from './mesh-resources.ts'
import { ResourceCache } from './resource-cache.ts'
import { workload } from './test-support.ts'
import { ADDRESS_TYPE } from './type-urls.ts'

const NODE = { id: 'ztunnel~10.0.0.9~z.istio-system~istio-system.svc.cluster.local' }
const CALLER = {
  id: { trustDomain: 'cluster.local', namespace: 'istio-system', serviceAccount: 'ztunnel' },
}
const many = (node: string) =>
  Array.from({ length: WHOLE_MESH_RESOURCES }, (_, index) => workload(`w${index}`, { node }))

function opened(cache: ResourceCache): DeltaSession {
  const now = () => 0
  const session = new DeltaSession({ cache, caller: CALLER, log: silentLog, now, ackPatienceMs: 1000 })
  session.receive(create(DeltaDiscoveryRequestSchema, { node: NODE, typeUrl: ADDRESS_TYPE }))
  return session
}

function put(cache: ResourceCache, node: string): void {
  cache.replace(meshResources({ workloads: many(node), services: [], policies: [] }))
}

t.test('a large mesh, encoded once for all, is what it is encoded one by one', async (t) => {
  const cache = new ResourceCache()
  put(cache, 'before')
  opened(cache).next()
  put(cache, 'now')
  for (const session of [opened(cache), opened(cache)]) {
    t.ok(session.wantsWholeMesh)
    const response = session.next()
    if (response === undefined) throw new Error('no response')
    const read = fromBinary(DeltaDiscoveryResponseSchema, toBinary(DeltaDiscoveryResponseSchema, response))
    const all = [...(cache.table(ADDRESS_TYPE)?.resources.values() ?? [])]
    const { typeUrl, nonce } = response
    t.strictSame(
      read,
      create(DeltaDiscoveryResponseSchema, {
        typeUrl,
        nonce,
        resources: all.map((resource) => encodeResource(resource, typeUrl, false)),
      }),
    )
    t.notOk(session.wantsWholeMesh)
  }
})

t.test('a client that holds something gets the difference only', async (t) => {
  const cache = new ResourceCache()
  put(cache, 'now')
  const held = [...(cache.table(ADDRESS_TYPE)?.resources.values() ?? [])].slice(1)
  const session = new DeltaSession({
    cache,
    caller: CALLER,
    log: silentLog,
    now: () => 0,
    ackPatienceMs: 1000,
  })
  session.receive(
    create(DeltaDiscoveryRequestSchema, {
      node: { ...NODE, id: NODE.id.replace('ztunnel', 'sidecar') },
      typeUrl: ADDRESS_TYPE,
      initialResourceVersions: Object.fromEntries(held.map(({ name, version }) => [name, version])),
    }),
  )
  t.notOk(session.wantsWholeMesh)
  t.strictSame(
    session.next()?.resources.map(({ name }) => name),
    ['Kubernetes//Pod/foo/w0'],
  )
})

t.test(
  'it is followed by an empty response once it is answered, so that nothing keeps it in memory',
  async (t) => {
    const cache = new ResourceCache()
    put(cache, 'now')
    const session = opened(cache)
    const answer = (nonce = '', message?: string) =>
      session.receive(
        create(DeltaDiscoveryRequestSchema, {
          typeUrl: ADDRESS_TYPE,
          responseNonce: nonce,
          ...(message === undefined ? {} : { errorDetail: { message } }),
        }),
      )
    const whole = session.next()
    t.equal(session.next(), undefined)
    answer(whole?.nonce, 'w7: bad')
    const empty = session.next()
    t.match(empty, { resources: [], removedResources: [] })
    t.equal(empty?.$unknown, undefined)
    answer(empty?.nonce)
    t.equal(session.next(), undefined)
    t.match(session.status(), [{ acks: 1, nacks: 1, lastNack: { reason: 'w7: bad' } }])
  },
)
