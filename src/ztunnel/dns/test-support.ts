import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type Answer, type DecodedPacket, decode, encode, type Packet, RECURSION_DESIRED } from 'dns-packet'
import type { Test } from 'tap'
import { MeshStore, type Workload } from '../../mesh/index.ts'
import { aService, aWorkload } from '../../mesh/test-support.ts'
import { createLogger, createMetrics, type Metrics } from '../../telemetry/index.ts'
import { createLocalWorkload } from '../proxy/local-workload.ts'
import { createSocketFactory } from '../proxy/socket-factory.ts'
import { DnsProxy, type DnsProxyOptions } from './dns-proxy.ts'
import { framed, readLength } from './exchange.ts'
import type { ResolvConf } from './resolv-conf.ts'
import type { DnsSettings } from './settings.ts'

export const CLIENT = aWorkload({ name: 'sleep', namespace: 'foo' })

export const SETTINGS: DnsSettings = {
  clusterDomain: 'cluster.local',
  preferredNamespace: undefined,
  ipv6Enabled: true,
  searchDomains: undefined,
  listen: { kind: 'localhost', port: 0 },
}

/** A mesh with the client and `httpbin.bar` on 10.96.0.1. */
export function aMesh(): MeshStore {
  const mesh = new MeshStore()
  mesh.upsertWorkload(CLIENT)
  mesh.upsertService(aService({ name: 'httpbin', namespace: 'bar' }))
  return mesh
}

export interface TestDns {
  readonly proxy: DnsProxy
  readonly udp: AddressInfo
  readonly tcp: AddressInfo
  readonly metrics: Metrics
  readonly log: Record<string, unknown>[]
}

/** A DNS proxy on free ports of loopback, for CLIENT unless told otherwise. */
export async function startDns(
  t: Test,
  options: Partial<DnsProxyOptions> & {
    readonly nameServer?: NameServer
    readonly resolv?: Partial<ResolvConf>
    readonly client?: Pick<Workload, 'name' | 'namespace' | 'serviceAccount'>
  } = {},
): Promise<TestDns> {
  const log: Record<string, unknown>[] = []
  const write = (line: string): void => void log.push(JSON.parse(line) as Record<string, unknown>)
  const logger = createLogger({ format: 'json', level: 'debug', destination: { write } })
  const metrics = createMetrics()
  const mesh = options.mesh ?? aMesh()
  const { nameServer, resolv, client = CLIENT, ...rest } = options
  const resolvConf: ResolvConf = {
    nameservers: nameServer === undefined ? [] : ['127.0.0.1'],
    search: [],
    timeoutMs: 500,
    attempts: 1,
    tcpOnly: false,
    ...resolv,
  }
  const proxy = DnsProxy.create({
    mesh,
    local: createLocalWorkload(mesh instanceof MeshStore ? mesh : aMesh(), client),
    sockets: createSocketFactory({ namespace: undefined, mark: undefined, reusePort: false }),
    settings: SETTINGS,
    resolvConf: { current: () => resolvConf },
    metrics: metrics.dns,
    log: logger.scope('dns'),
    random: Math.random,
    ...(nameServer === undefined ? {} : { nameServerPort: nameServer.port }),
    ...rest,
  })
  t.teardown(() => proxy.close())
  const endpoints = await proxy.run()
  const on = (transport: 'tcp' | 'udp'): AddressInfo => {
    const found = endpoints.find((endpoint) => endpoint.transport === transport)
    if (found === undefined) throw new Error(`the proxy has no ${transport} endpoint`)
    return found.address
  }
  return { proxy, udp: on('udp'), tcp: on('tcp'), metrics, log }
}

/** A question as any resolver sends it. */
export function question(name: string, type: 'A' | 'AAAA' | 'SRV' | 'TXT' = 'A', more: Packet = {}): Buffer {
  return encode({ type: 'query', id: 0x1234, flags: RECURSION_DESIRED, questions: [{ name, type }], ...more })
}

/** An OPT record that says how much the client takes. */
export function opt(udpPayloadSize: number, flags = 0): Answer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize,
    extendedRcode: 0,
    ednsVersion: 0,
    flags,
    flag_do: false,
    options: [],
  }
}

/** Sends one datagram and waits for the one that comes back. */
export async function askOverUdp({ address, port }: AddressInfo, message: Buffer): Promise<Buffer> {
  const socket = createSocket('udp4')
  try {
    socket.send(message, port, address)
    const [reply] = await once(socket, 'message')
    return reply
  } finally {
    socket.close()
  }
}

export async function resolveOverUdp(at: AddressInfo, message: Buffer): Promise<DecodedPacket> {
  return decode(await askOverUdp(at, message))
}

/** Type and data of each record, in the order of the reply. */
export function records(
  packet: DecodedPacket,
): readonly (readonly [name: string, type: string, data: unknown])[] {
  return (packet.answers ?? []).map((answer) => [
    answer.name,
    answer.type,
    'data' in answer ? answer.data : undefined,
  ])
}

/** A name server on loopback, UDP and TCP on one port; `answer` returns undefined to say nothing. */
export interface NameServer {
  readonly port: number
  /** Over which transport it was asked, in order. */
  readonly asked: ('udp' | 'tcp')[]
  /** The messages as they came. */
  readonly messages: Buffer[]
}

export type AnswerWith = (query: Buffer, transport: 'udp' | 'tcp') => Buffer | undefined

export async function startNameServer(t: Test, answer: AnswerWith): Promise<NameServer> {
  const asked: ('udp' | 'tcp')[] = []
  const messages: Buffer[] = []
  const respond = (message: Buffer, transport: 'udp' | 'tcp'): Buffer | undefined => {
    asked.push(transport)
    messages.push(message)
    return answer(message, transport)
  }
  const tcp = createServer((socket) => serveTcp(socket, respond))
  await once(tcp.listen(0, '127.0.0.1'), 'listening')
  const { port } = tcp.address() as AddressInfo
  const udp: UdpSocket = createSocket('udp4')
  udp.on('message', (message, from) => {
    const reply = respond(message, 'udp')
    if (reply !== undefined) udp.send(reply, from.port, from.address)
  })
  await once(udp.bind(port, '127.0.0.1'), 'listening')
  t.teardown(() => {
    udp.close()
    tcp.close()
  })
  return { port, asked, messages }
}

/** The reply to a question, with these records and flags. */
export function answered(query: Buffer, packet: Packet): Buffer {
  const { id = 0, questions = [] } = decode(query)
  return encode({ type: 'response', id, questions, ...packet })
}

function serveTcp(socket: Socket, respond: AnswerWith): void {
  socket.on('error', () => {})
  socket.on('readable', () => {
    const length = readLength(socket)
    const message: Buffer | null = length === undefined ? null : socket.read(length)
    if (message === null) return
    const reply = respond(message, 'tcp')
    if (reply !== undefined) socket.end(framed(reply))
  })
}
