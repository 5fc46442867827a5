import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { dialHbone, type HboneRequest, HboneServer, pump } from '../hbone/index.ts'
import type { SvidManager } from '../identity/index.ts'
import { EMPTY_HTTP_MATCH } from '../mesh/http/empty-match.ts'
import type { HttpPolicyMatch } from '../mesh/http/index.ts'
import {
  type AppProtocol,
  MeshStore,
  type Port,
  type Service,
  serviceKey,
  type Workload,
  workloadIdentity,
} from '../mesh/index.ts'
import { aService, atAddress, aWorkload } from '../mesh/test-support.ts'
import { ConnectionTelemetry, createLogger, HttpMetrics, RequestLog } from '../telemetry/index.ts'
import { TrafficMetrics } from '../telemetry/traffic-metrics.ts'
import { createLocalWorkload } from '../ztunnel/proxy/local-workload.ts'
import { createSocketFactory } from '../ztunnel/proxy/socket-factory.ts'
import { createSvids, TEST_SETTINGS } from '../ztunnel/proxy/test-support.ts'
import { WaypointRules } from './rules.ts'
import { Waypoint } from './waypoint.ts'

/** Of this process alone: test files run beside each other. */
export const NET = `127.${64 + ((process.pid >> 8) & 63)}.${process.pid & 255}`
export const CLIENT = aWorkload({ name: 'client', addresses: [`${NET}.1`] })
export const WAYPOINT = aWorkload({ name: 'waypoint', addresses: [`${NET}.2`] })
export const GATEWAY = atAddress(`${NET}.2`)
/** Nobody listens there: it only names the service. */
export const VIP = '10.96.0.1'
const HBONE_PORT = 15_008

/** A waypoint on loopback, its service, and the pods behind it. */
export interface WaypointLab {
  readonly svids: SvidManager
  readonly mesh: MeshStore
  readonly rules: WaypointRules
  readonly waypoint: Waypoint
  readonly httpMetrics: HttpMetrics
  /** Lines of scope `access`, as JSON. */
  readonly log: Record<string, unknown>[]
  /** Adds a pod of the service: its ztunnel, which goes to `app`. */
  endpoint(
    name: string,
    address: string,
    app: (socket: Socket) => void,
    more?: Partial<Workload>,
  ): Promise<TestEndpoint>
  /** A tunnel to the waypoint, as that workload and from its address. Rejects with the refusal. */
  tunnel(authority: string, from?: Workload, headers?: Readonly<Record<string, string>>): Promise<Duplex>
}

export interface TestEndpoint {
  readonly workload: Workload
  readonly port: number
  /** What its ztunnel was asked. */
  readonly seen: HboneRequest[]
  /** Its ztunnel ends at once, with all connections, and nothing takes its place; the mesh does not know. */
  die(): void
}

export interface WaypointLabOptions {
  readonly appProtocol?: AppProtocol
  readonly xfcc?: boolean
}

export const GATEWAY_NAME = { namespace: 'default', name: 'waypoint', className: 'istio-waypoint' }

/** A waypoint for `server.default.svc.cluster.local:80`, without an endpoint yet. */
export async function startWaypointLab(t: Test, options: WaypointLabOptions = {}): Promise<WaypointLab> {
  const svids = await createSvids(t)
  const mesh = new MeshStore()
  const service = serviceOf(options.appProtocol ?? 'UNKNOWN')
  for (const workload of [CLIENT, WAYPOINT]) mesh.upsertWorkload(workload)
  mesh.apply([{ kind: 'upsert-service', service }])
  const log: Record<string, unknown>[] = []
  const write = (line: string): void => void log.push(JSON.parse(line) as Record<string, unknown>)
  const logger = createLogger({ format: 'json', level: 'access=debug,off', destination: { write } })
  const rules = new WaypointRules(GATEWAY_NAME)
  const metrics = new TrafficMetrics()
  const httpMetrics = new HttpMetrics()
  const waypoint = Waypoint.create({
    mesh,
    rules,
    svids,
    local: createLocalWorkload(mesh, WAYPOINT),
    // Its own address as source: what the mesh knows it by.
    sockets: fromAddress(`${NET}.2`),
    telemetry: new ConnectionTelemetry({ log: logger.scope('access'), metrics }),
    metrics,
    httpMetrics,
    settings: { ...TEST_SETTINGS, bindAddress: `${NET}.2` },
    log: logger.scope('proxy'),
    requestLog: new RequestLog(logger.scope('access')),
    xfcc: options.xfcc ?? false,
    random: Math.random,
    lookup: async () => [],
  })
  await waypoint.run()
  t.teardown(() => waypoint.close())
  return {
    svids,
    mesh,
    rules,
    waypoint,
    httpMetrics,
    log,
    endpoint: (name, address, app, more) =>
      startEndpoint(t, svids, mesh, service, { name, address, app, more }),
    tunnel: (authority, from = CLIENT, headers = {}) => openTunnel(t, svids, from, authority, headers),
  }
}

function serviceOf(appProtocol: AppProtocol): Service {
  const ports: readonly Port[] = [{ servicePort: 80, targetPort: 8080, appProtocol }]
  return aService({ waypoint: GATEWAY, addresses: [{ network: '', address: VIP }], ports })
}

function fromAddress(localAddress: string) {
  const sockets = createSocketFactory({ namespace: undefined, mark: undefined, reusePort: false })
  return {
    ...sockets,
    connect: ({ address, port }: { address: string; port: number }) =>
      connect({ host: address, port, localAddress, allowHalfOpen: true }),
  }
}

async function startEndpoint(
  t: Test,
  svids: SvidManager,
  mesh: MeshStore,
  service: Service,
  pod: {
    readonly name: string
    readonly address: string
    readonly app: (socket: Socket) => void
    readonly more: Partial<Workload> | undefined
  },
): Promise<TestEndpoint> {
  const { name, address, app, more } = pod
  const application = await listen(t, address, 0, app)
  const { port } = application
  const services = new Map([
    [serviceKey(service), [{ servicePort: 80, targetPort: port, appProtocol: 'UNKNOWN' as const }]],
  ])
  const workload = aWorkload({ name, addresses: [address], services, ...more })
  const seen: HboneRequest[] = []
  const hbone = new HboneServer({
    svid: await svids.get(workloadIdentity(workload)),
    onRequest: (request) => {
      seen.push(request)
      const upstream = connect({ host: address, port: request.authority.port, allowHalfOpen: true })
      upstream.once('error', () => request.refuse(503))
      upstream.once('connect', () => void pump(request.accept(), upstream, { sent: 0, received: 0 }))
    },
    onConnectionError: () => {},
  })
  t.teardown(() => hbone.close())
  const ztunnel = await listen(t, address, HBONE_PORT, (socket) => hbone.accept(socket))
  mesh.upsertWorkload(workload)
  const die = (): void => {
    ztunnel.close()
    hbone.close()
  }
  return { workload, port, seen, die }
}

/** Closed with its sockets when the test ends. */
async function listen(
  t: Test,
  address: string,
  port: number,
  onSocket: (socket: Socket) => void,
): Promise<{ readonly port: number; close(): void }> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  server.listen(port, address)
  await once(server, 'listening')
  const close = (): void => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(close)
  return { port: (server.address() as AddressInfo).port, close }
}

async function openTunnel(
  t: Test,
  svids: SvidManager,
  from: Workload,
  authority: string,
  headers: Readonly<Record<string, string>>,
): Promise<Duplex> {
  const localAddress = from.addresses[0] ?? ''
  const connection = await dialHbone({
    socket: connect({ host: `${NET}.2`, port: HBONE_PORT, localAddress, allowHalfOpen: true }),
    svid: await svids.get(workloadIdentity(from)),
    expectedIdentities: ['spiffe://cluster.local/ns/default/sa/waypoint'],
  })
  t.teardown(() => connection.close())
  const { stream } = await connection.request({ authority, headers })
  stream.on('error', () => {})
  return stream
}

/** What comes until there is as much as that, or the end. */
export async function readUntil(stream: Duplex, enough: (text: string) => boolean): Promise<string> {
  let text = ''
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('data', onData).off('end', done).off('close', done)
      stream.pause()
      resolve(text)
    }
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (enough(text)) done()
    }
    stream.on('data', onData).once('end', done).once('close', done)
    stream.resume()
  })
}

/** A match with nothing in it but what the test gives. */
export function aHttpMatch(overrides: Partial<HttpPolicyMatch>): HttpPolicyMatch {
  return { ...EMPTY_HTTP_MATCH, ...overrides }
}
