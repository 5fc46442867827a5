// A proxy that does not read must cost its control plane one response, however
// much changes meanwhile, and must have everything once it reads again.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromBinary } from '@bufbuild/protobuf'
import t from 'tap'
import { openGrpcListener } from '../../src/config-server/grpc-listener.ts'
import { DeltaDiscoveryResponseSchema } from '../../src/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { CertificateAuthority, loadOrCreateCa, silentLog } from '../../src/identity/index.ts'
import { ADDRESS_TYPE, type CachedResource, DeltaServer, ResourceCache } from '../../src/xds/index.ts'
import { RawAdsStream } from '../support/raw-ads-stream.ts'
import { until } from '../support/until.ts'

const CALLER = { id: { trustDomain: 'cluster.local', namespace: 'istio-system', serviceAccount: 'ztunnel' } }
const MIB = 1024 ** 2
/** HTTP/2's default, far less than one response. */
const WINDOW_BYTES = 65_535
const RESOURCES = 500
const RESOURCE_BYTES = 1024
/** 1.5 GiB in all, were each kept for the client. */
const CHANGES = 3_000

t.test('thousands of changes for a client that does not read', async (t) => {
  const certs = t.testdir()
  const ca = new CertificateAuthority(await loadOrCreateCa(certs, { trustDomain: 'cluster.local' }))
  const cache = new ResourceCache()
  const serve = (round: number) => cache.replace(new Map([[ADDRESS_TYPE, state(round)]]))
  serve(0)
  const server = new DeltaServer({ cache, authenticate: () => CALLER, ackPatienceMs: 50 })
  const listener = await openGrpcListener({
    ca,
    names: { dnsNames: [], ipAddresses: ['127.0.0.1'] },
    routes: server.routes,
    authenticate: async () => CALLER,
    listen: { host: '127.0.0.1', port: 0 },
    log: silentLog,
  })
  t.teardown(() => listener.close())

  const held = new Map<string, string>()
  let responses = 0
  const stream = await RawAdsStream.open({
    port: listener.address.port,
    token: '',
    rootsPem: readFileSync(join(certs, 'root-cert.pem'), 'utf8'),
    windowBytes: WINDOW_BYTES,
    onResponse: ({ body, nonce }, self) => {
      responses++
      const response = fromBinary(DeltaDiscoveryResponseSchema, body)
      for (const { name, version } of response.resources) held.set(name, version)
      for (const name of response.removedResources) held.delete(name)
      self.send({ typeUrl: ADDRESS_TYPE, responseNonce: nonce })
    },
  })
  t.teardown(() => stream.close())
  stream.send({ typeUrl: ADDRESS_TYPE })
  await until(() => held.size === RESOURCES + 1, 'the whole mesh')
  t.equal(responses, 1)

  stream.pause()
  const sent = () => server.status()[0]?.types[0]?.responses ?? 0
  const before = process.memoryUsage().rss
  for (let round = 1; round <= CHANGES; round++) {
    serve(round)
    // Everybody gets a turn; the client's patience with an answer passes many times.
    if (round % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  t.ok(sent() <= 3, `${sent()} responses for ${CHANGES} changes`)
  const grown = (process.memoryUsage().rss - before) / MIB
  t.ok(grown < 500, `${grown.toFixed(0)} MiB more`)

  stream.resume()
  const present = () => cache.table(ADDRESS_TYPE)?.resources ?? new Map<string, CachedResource>()
  await until(
    () =>
      held.size === present().size &&
      [...present().values()].every(({ name, version }) => held.get(name) === version),
    'the final state',
    30_000,
  )
  t.ok(responses <= 5, `${responses} responses in all`)
  t.equal(stream.ended, undefined, 'on the same stream')
})

/** In every round all resources differ from those before, and one is new and goes with the next. */
function state(round: number): CachedResource[] {
  const named = (name: string): CachedResource => {
    const value = new Uint8Array(RESOURCE_BYTES)
    new DataView(value.buffer).setUint32(0, round)
    return { name, value, aliases: [], groups: [], version: String(round) }
  }
  const lasting = Array.from({ length: RESOURCES }, (_, index) => named(`lasting-${index}`))
  return [...lasting, named(`passing-${round}`)]
}
