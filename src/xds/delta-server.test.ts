import { create } from '@bufbuild/protobuf'
import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect'
import t from 'tap'
import {
  AggregatedDiscoveryService,
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import { DeltaServer, MAX_STREAMS_PER_CALLER } from './delta-server.ts'
import { meshResources } from './mesh-resources.ts'
import { ResourceCache } from './resource-cache.ts'
import { workload } from './test-support.ts'
import { ADDRESS_TYPE } from './type-urls.ts'

t.test('one token cannot take the streams of all', async (t) => {
  const cache = new ResourceCache()
  cache.replace(meshResources({ workloads: [workload('a')], services: [], policies: [] }))
  const server = new DeltaServer({
    cache,
    authenticate: (headers) => ({
      id: { trustDomain: 'cluster.local', namespace: 'istio-system', serviceAccount: 'ztunnel' },
      node: headers.get('authorization') ?? '',
    }),
  })
  const client = createClient(
    AggregatedDiscoveryService,
    createRouterTransport((router) => server.routes(router)),
  )
  const stopping = new AbortController()
  t.teardown(() => stopping.abort())
  const open = async (node: string) => {
    const responses = client.deltaAggregatedResources(requests(stopping.signal), {
      headers: { authorization: node },
      signal: stopping.signal,
    })
    const first = await responses[Symbol.asyncIterator]().next()
    return first.value?.resources.length
  }
  for (let count = 0; count < MAX_STREAMS_PER_CALLER; count++) t.equal(await open('node-a'), 1)
  const refused = await open('node-a').catch((error: unknown) => ConnectError.from(error))
  t.match(refused, {
    code: Code.ResourceExhausted,
    message: /streams are open for istio-system\/ztunnel on node-a/,
  })
  t.equal(await open('node-b'), 1)
})

/** Asks for everything, then stays open. */
async function* requests(signal: AbortSignal): AsyncGenerator<DeltaDiscoveryRequest> {
  yield create(DeltaDiscoveryRequestSchema, {
    node: { id: 'ztunnel~10.0.0.9~z.istio-system~istio-system.svc.cluster.local' },
    typeUrl: ADDRESS_TYPE,
  })
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
}
