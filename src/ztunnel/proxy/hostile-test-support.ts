import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2'
import { createServer, Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { HbonePool } from '../../hbone/index.ts'
import type { SvidManager } from '../../identity/index.ts'
import { listenTcp, type NetworkNamespace, openTcpSocket } from '../../linux/index.ts'
import { type NamespacePair, namespacePair } from '../../linux/test-support.ts'
import { identityUri, MeshStore, type Workload, workloadIdentity } from '../../mesh/index.ts'
import { ConnectionTelemetry, createLogger } from '../../telemetry/index.ts'
import { workload } from '../../telemetry/test-support.ts'
import { TrafficMetrics } from '../../telemetry/traffic-metrics.ts'
import { createLocalWorkload } from './local-workload.ts'
import { createSocketFactory } from './socket-factory.ts'
import { createSvids, TEST_SETTINGS } from './test-support.ts'
import { type SharedDependencies, WorkloadProxy } from './workload-proxy.ts'

/** Connections that one workload may have open in these tests. */
export const MAX_CONNECTIONS = 60
/** In these tests a handshake, and the answer to a PING, may take so long. Milliseconds. */
export const PATIENCE_MS = 400
/** Port of an application that sends without end. */
export const ENDLESS = 8000
/** Port of one that sends back what it gets. */
export const ECHO = 8001
/** Port of one that reads nothing. */
export const DEAF = 8002

/** One pod with its applications and, at the other end of a cable, whoever talks to it. */
export interface AttackedPod {
  readonly pair: NamespacePair
  /** Connections that the applications have open, and what the endless one was able to send. */
  readonly apps: { open: number; sent: number }
  /** A new TCP connection to 15008, not yet connected. */
  dial(): Socket
}

/** Two pods of one proxy process: the victim of an attack, and its neighbour. */
export interface Neighbourhood {
  readonly victim: AttackedPod
  readonly svids: SvidManager
  readonly attacker: Workload
  /** Asks the neighbour's echo so many times, each over a tunnel stream of its own; the slowest took so long. */
  askNeighbour(times: number): Promise<number>
  /** The same with the victim, by an honest client. */
  askVictim(times: number): Promise<number>
  readonly log: readonly string[]
}

export async function neighbourhood(t: Test, name: string): Promise<Neighbourhood> {
  const svids = await createSvids(t)
  const mesh = new MeshStore()
  const log: string[] = []
  const write = (line: string): void => void log.push(line)
  const logger = createLogger({ format: 'plain', level: 'warn', destination: { write } })
  const metrics = new TrafficMetrics()
  const shared: SharedDependencies = {
    mesh,
    svids,
    metrics,
    telemetry: new ConnectionTelemetry({ log: logger.scope('access'), metrics }),
    log: logger.scope('proxy'),
    random: Math.random,
    lookup: async () => [],
    settings: {
      ...TEST_SETTINGS,
      bindAddress: '0.0.0.0',
      hbone: { handshakeTimeoutMs: PATIENCE_MS, pingIntervalMs: PATIENCE_MS, pingTimeoutMs: PATIENCE_MS },
      maxConnectionsPerWorkload: MAX_CONNECTIONS,
    },
  }
  const client = workload('client')
  const pods = await Promise.all(
    ['v', 'n'].map(async (letter) => {
      const own = workload(`${name}-${letter}`, { addresses: [] })
      mesh.upsertWorkload(own)
      const pair = namespacePair(`${name}-${letter}`)
      t.teardown(() => pair.close())
      const pod = await startPod(t, shared, own, pair)
      const pool = new HbonePool({ connect: () => pod.dial() })
      t.teardown(() => pool.close())
      return { pod, ask: (times: number) => ask(pool, svids, client, own, times) }
    }),
  )
  const [victim, neighbour] = pods
  if (victim === undefined || neighbour === undefined) throw new Error('unreachable')
  await Promise.all([victim.ask(1), neighbour.ask(1)])
  return {
    victim: victim.pod,
    svids,
    attacker: workload('attacker'),
    askNeighbour: neighbour.ask,
    askVictim: victim.ask,
    log,
  }
}

/** A TLS connection of a member of the mesh, as an attacker holds it. */
export async function attackerTls({ svids, attacker, victim }: Neighbourhood): Promise<TLSSocket> {
  const svid = await svids.get(workloadIdentity(attacker))
  const socket = victim.dial()
  socket.on('error', () => {})
  const tls = connectTls({
    socket,
    secureContext: svid.clientContext(),
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  })
  tls.on('error', () => {})
  await once(tls, 'secureConnect')
  return tls
}

/** An HTTP/2 session over it, with windows as large as the protocol allows. */
export async function attackerSession(place: Neighbourhood): Promise<ClientHttp2Session> {
  const tls = await attackerTls(place)
  const session = connectHttp2('https://hbone.invalid', {
    createConnection: () => tls,
    settings: { initialWindowSize: constants.MAX_INITIAL_WINDOW_SIZE },
  })
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  session.setLocalWindowSize(constants.MAX_INITIAL_WINDOW_SIZE)
  return session
}

export function connectRequest(place: Neighbourhood, port: number): Record<string, string> {
  return { ':method': 'CONNECT', ':authority': `${place.victim.pair.podAddress}:${port}` }
}

/** Waits, turn by turn of the event loop, until it holds; fails after twenty seconds. */
export async function eventually(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 20_000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never came true: ${what}`)
    await new Promise(setImmediate)
  }
}

async function startPod(
  t: Test,
  shared: SharedDependencies,
  own: Workload,
  pair: NamespacePair,
): Promise<AttackedPod> {
  const apps = { open: 0, sent: 0 }
  await startApp(t, pair.pod, ENDLESS, apps, (socket) => {
    const block = Buffer.alloc(64 * 1024)
    const send = (): void => {
      apps.sent += block.length
      socket.write(block, (error) => error ?? send())
    }
    send()
    socket.resume()
  })
  await startApp(t, pair.pod, DEAF, apps, (socket) => socket.pause())
  await startApp(t, pair.pod, ECHO, apps, (socket) => socket.pipe(socket))
  const sockets = createSocketFactory({ namespace: pair.pod, mark: undefined, reusePort: false })
  const proxy = WorkloadProxy.create(shared, createLocalWorkload(shared.mesh, own), sockets)
  await proxy.run()
  t.teardown(() => proxy.close())
  return { pair, apps, dial: () => dialIn(pair.client, pair.podAddress, 15_008) }
}

async function startApp(
  t: Test,
  namespace: NetworkNamespace,
  port: number,
  apps: { open: number },
  onSocket: (socket: Socket) => void,
): Promise<void> {
  const all = new Set<Socket>()
  const server = createServer((socket) => {
    apps.open++
    all.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => {
      apps.open--
      all.delete(socket)
    })
    onSocket(socket)
  })
  server.listen({ fd: namespace.run(() => listenTcp({ address: '0.0.0.0', port })).fd })
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of all) socket.destroy()
  })
}

async function ask(
  pool: HbonePool,
  svids: SvidManager,
  client: Workload,
  server: Workload,
  times: number,
): Promise<number> {
  let slowest = 0
  for (let i = 0; i < times; i++) {
    const began = performance.now()
    const { stream } = await pool.open(
      {
        sourceIdentity: identityUri(workloadIdentity(client)),
        svid: () => svids.get(workloadIdentity(client)),
        destinationIdentities: [identityUri(workloadIdentity(server))],
        address: '10.99.0.2',
        port: 15_008,
        sourceAddress: '10.99.0.1',
      },
      { authority: `10.99.0.2:${ECHO}`, headers: {} },
    )
    stream.end('ping')
    let text = ''
    for await (const chunk of stream) text += String(chunk)
    if (text !== 'ping') throw new Error(`the echo came back as ${JSON.stringify(text)}`)
    slowest = Math.max(slowest, performance.now() - began)
  }
  return slowest
}

function dialIn(namespace: NetworkNamespace, host: string, port: number): Socket {
  const fd = namespace.run(() => openTcpSocket({ family: 4 }))
  return new Socket({ fd, allowHalfOpen: true, ...MANUAL_START }).connect({ host, port })
}

/** Reading must not begin before the connect. */
const MANUAL_START: object = { manualStart: true }
