import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { HbonePool, type HboneRequest, HboneServer } from '../../hbone/index.ts'
import { type Listening, listenTcp } from '../../hbone/test-support.ts'
import { createInMemoryCa } from '../../identity/ca-create.ts'
import { CertificateAuthority } from '../../identity/certificate-authority.ts'
import { SvidManager } from '../../identity/index.ts'
import { MeshStore, type SocketAddress, type Workload, workloadIdentity } from '../../mesh/index.ts'
import { ConnectionTelemetry, createLogger } from '../../telemetry/index.ts'
import { TrafficMetrics } from '../../telemetry/traffic-metrics.ts'
import type { ProxySettings } from '../settings.ts'
import { ConnectionTracker } from './connection-tracker.ts'
import type { InboundDependencies } from './inbound-passthrough.ts'
import { createLocalWorkload } from './local-workload.ts'
import type { OutboundDependencies } from './outbound.ts'
import { createSocketFactory } from './socket-factory.ts'
import { WorkloadPolicies } from './workload-policies.ts'

/** What a proxy needs to serve one workload, on loopback and without a capture. */
export interface TestProxy {
  readonly deps: InboundDependencies & OutboundDependencies
  readonly mesh: MeshStore
  /** Access lines, as JSON. */
  readonly log: Record<string, unknown>[]
}

export const TEST_SETTINGS: ProxySettings = {
  network: '',
  bindAddress: '127.0.0.1',
  ports: { outbound: 15_001, inboundPlaintext: 15_006, inboundHbone: 15_008 },
  proxyEnabled: true,
  originalSource: 'never',
  keepAlive: undefined,
  userTimeoutMs: undefined,
  connectTimeoutMs: 5000,
  hbone: {},
  pool: { maxStreamsPerConnection: 100, idleTimeoutMs: 60_000 },
  maxConnectionsPerWorkload: 100,
  responseBaggage: true,
  localhostAppTunnel: true,
  waypointEnforcement: 'hairpin',
}

/** For a policy that a test is about to send: longer than a slow machine takes. */
const POLICY_WAIT_MS = 30_000

/** Certificates for any workload, all of one CA. */
export async function createSvids(t: Test): Promise<SvidManager> {
  const authority = new CertificateAuthority(await createInMemoryCa())
  const svids = new SvidManager({ fetch: (id) => authority.issueSvid(id, 3600) })
  t.teardown(() => svids.close())
  return svids
}

/** A proxy for `workload` with a mesh of its own, in which there is `workload` and nothing else. */
export function createProxy(
  t: Test,
  svids: SvidManager,
  workload: Workload,
  settings: Partial<ProxySettings> = {},
): TestProxy {
  const log: Record<string, unknown>[] = []
  const write = (line: string): void => void log.push(JSON.parse(line) as Record<string, unknown>)
  const logger = createLogger({ format: 'json', level: 'access=debug,off', destination: { write } })
  const mesh = new MeshStore()
  mesh.upsertWorkload(workload)
  const pool = new HbonePool({
    connect: ({ address, port }) => connect({ host: address, port, allowHalfOpen: true }),
  })
  t.teardown(() => pool.close())
  const local = createLocalWorkload(mesh, workload)
  const tracker = new ConnectionTracker()
  const policies = new WorkloadPolicies({ mesh, local, tracker, waitMs: POLICY_WAIT_MS })
  t.teardown(() => policies.close())
  const deps = {
    local,
    policies,
    mesh,
    svids,
    pool,
    sockets: createSocketFactory({ namespace: undefined, mark: undefined, reusePort: false }),
    settings: { ...TEST_SETTINGS, ...settings },
    tracker,
    telemetry: new ConnectionTelemetry({ log: logger.scope('access'), metrics: new TrafficMetrics() }),
    transparent: false,
    random: Math.random,
    lookup: async () => [],
  }
  return { deps, mesh, log }
}

/** An HBONE server with a workload's certificate, on one of its addresses. */
export async function serveWorkload(
  t: Test,
  svids: SvidManager,
  workload: Workload,
  onRequest: (request: HboneRequest) => void,
): Promise<Listening> {
  const hbone = new HboneServer({
    svid: await svids.get(workloadIdentity(workload)),
    onRequest,
    onConnectionError: () => {},
  })
  t.teardown(() => hbone.close())
  return listenTcp(t, (socket) => hbone.accept(socket), workload.addresses[0])
}

/** Connects from a certain loopback address, as a client that lives there. */
export function connectFrom(t: Test, source: string, { address, port }: SocketAddress): Socket {
  const socket = connect({ host: address, port, localAddress: source, allowHalfOpen: true })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}
