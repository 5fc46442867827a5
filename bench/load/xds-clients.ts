// Proxies to measure a config server with: one that decodes everything into a
// mesh, as a node proxy does, or many that only acknowledge.

import { controlPlaneTransport } from '../../src/identity/index.ts'
import { MeshStore } from '../../src/mesh/index.ts'
import {
  ADDRESS_TYPE,
  AddressHandler,
  AdsClient,
  AUTHORIZATION_TYPE,
  AuthorizationHandler,
  MAX_MESSAGE_BYTES,
} from '../../src/xds/index.ts'
import { RawAdsStream } from '../../test/support/raw-ads-stream.ts'

export interface ClientSettings {
  readonly port: number
  readonly token: string
  readonly rootsPem: string
  /** How many that only acknowledge; undefined for one whole. */
  readonly light?: number
}

export type ClientReport =
  | {
      readonly kind: 'synced'
      readonly ms: number
      readonly bytes: number
      readonly rssMb: number
      readonly workloads: number
    }
  /** All light ones have a later response of addresses; `at` by the clock, for each. */
  | { readonly kind: 'changed'; readonly at: readonly number[]; readonly bytes: number }

const settings = JSON.parse(process.argv[2] ?? '{}') as ClientSettings
process.on('disconnect', () => process.exit())
if (settings.light === undefined) await whole()
else await many(settings.light)

async function whole(): Promise<void> {
  const { port, token, rootsPem } = settings
  const store = new MeshStore({ node: 'node-0' })
  let bytes = 0
  const transport = controlPlaneTransport({
    address: `https://127.0.0.1:${port}`,
    rootCertPem: rootsPem,
    readMaxBytes: MAX_MESSAGE_BYTES,
  })
  const client = new AdsClient({
    transport,
    credentials: { token: () => token, clusterId: 'Kubernetes' },
    node: { id: 'ztunnel~127.0.0.1~z.istio-system~istio-system.svc.cluster.local' },
    types: [new AddressHandler(store), new AuthorizationHandler(store)],
    metrics: {
      message: (_type, size) => {
        bytes += size
      },
    },
  })
  const began = performance.now()
  client.start()
  await Promise.all([client.synced(ADDRESS_TYPE), client.synced(AUTHORIZATION_TYPE)])
  const ms = performance.now() - began
  report({
    kind: 'synced',
    ms,
    bytes,
    rssMb: process.memoryUsage().rss / 1024 ** 2,
    workloads: [...store.workloads()].length,
  })
  process.exit()
}

async function many(count: number): Promise<void> {
  const began = performance.now()
  const counts = { synced: 0, bytes: 0 }
  let changed: number[] = []
  const open = async () => {
    let addresses = 0
    const stream = await RawAdsStream.open({
      ...settings,
      onResponse: ({ typeUrl, nonce, bytes, resources }, self) => {
        self.send({ typeUrl, responseNonce: nonce })
        counts.bytes += bytes
        if (typeUrl !== ADDRESS_TYPE || resources === 0) return
        addresses++
        if (addresses > 1) return wasChanged()
        counts.synced++
        if (counts.synced < count) return
        report({
          kind: 'synced',
          ms: performance.now() - began,
          bytes: counts.bytes,
          rssMb: process.memoryUsage().rss / 1024 ** 2,
          workloads: 0,
        })
        counts.bytes = 0
      },
    })
    stream.send({ typeUrl: ADDRESS_TYPE })
    stream.send({ typeUrl: AUTHORIZATION_TYPE })
  }
  const wasChanged = () => {
    changed.push(Date.now())
    if (changed.length < count) return
    report({ kind: 'changed', at: changed, bytes: counts.bytes })
    changed = []
    counts.bytes = 0
  }
  await Promise.all(Array.from({ length: count }, open))
}

function report(message: ClientReport): void {
  process.send?.(message)
}
