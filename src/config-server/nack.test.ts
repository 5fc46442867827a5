import t from 'tap'
import {
  CertificateAuthority,
  controlPlaneTransport,
  createInMemoryCa,
  silentLog,
} from '../identity/index.ts'
import { MeshStore } from '../mesh/index.ts'
import {
  ADDRESS_TYPE,
  AddressHandler,
  AdsClient,
  DeltaServer,
  encodeWorkload,
  ResourceCache,
} from '../xds/index.ts'
import { workload } from '../xds/test-support.ts'
import { openGrpcListener } from './grpc-listener.ts'
import { until } from './test-support.ts'

const CALLER = { id: { trustDomain: 'cluster.local', namespace: 'istio-system', serviceAccount: 'ztunnel' } }

t.test('a resource that cannot be used is named to the server, and the others are in force', async (t) => {
  const cache = new ResourceCache()
  const put = (bad: Uint8Array<ArrayBuffer>) =>
    cache.replace(
      new Map([
        [
          ADDRESS_TYPE,
          [
            {
              name: 'good',
              value: encodeWorkload(workload('good', { uid: 'good' })),
              aliases: [],
              groups: [],
            },
            { name: 'bad', value: bad, aliases: [], groups: [] },
          ],
        ],
      ]),
    )
  put(Uint8Array.of(0x0a, 0x02, 0x28, 0x02)) // a workload with tunnel_protocol LEGACY_ISTIO_MTLS
  const server = new DeltaServer({ cache, authenticate: () => CALLER })
  const material = await createInMemoryCa()
  const listener = await openGrpcListener({
    ca: new CertificateAuthority(material),
    names: { dnsNames: [], ipAddresses: ['127.0.0.1'] },
    routes: server.routes,
    authenticate: async () => CALLER,
    listen: { host: '127.0.0.1', port: 0 },
    log: silentLog,
  })
  t.teardown(() => listener.close())
  const transport = controlPlaneTransport({
    address: `https://127.0.0.1:${listener.address.port}`,
    rootCertPem: material.rootsPem,
  })
  const store = new MeshStore()
  const client = new AdsClient({
    transport,
    node: { id: 'ztunnel~127.0.0.1~z.istio-system~istio-system.svc.cluster.local' },
    types: [new AddressHandler(store)],
  })
  t.teardown(async () => {
    await client.stop()
    transport.close()
  })
  client.start()
  await client.synced(ADDRESS_TYPE)
  t.ok(store.workload('good'))
  await until('the NACK', () => server.status()[0]?.types[0]?.nacks === 1)
  t.match(server.status(), [
    { types: [{ acks: 0, lastNack: { reason: 'bad: tunnel protocol LEGACY_ISTIO_MTLS is not supported' } }] },
  ])
  t.match(client.status().types, [{ resources: 1, rejected: [{ name: 'bad' }] }])
  put(encodeWorkload(workload('bad', { uid: 'bad' })))
  await until('the mended resource', () => store.workload('bad') !== undefined)
  t.match(client.status().types, [{ resources: 2, rejected: [] }])
})
