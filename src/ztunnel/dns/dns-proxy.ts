import { randomInt } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { LinuxError } from '../../linux/index.ts'
import { formatSocketAddress, type MeshView, type SocketAddress } from '../../mesh/index.ts'
import type { DnsMetrics, ScopedLogger } from '../../telemetry/index.ts'
import { errorText, ProxyError } from '../errors.ts'
import type { LocalWorkload } from '../proxy/local-workload.ts'
import type { SocketFactory } from '../proxy/socket-factory.ts'
import { Forwarder } from './forwarder.ts'
import type { ResolvConfSource } from './resolv-conf.ts'
import { Responder } from './responder.ts'
import type { DnsAddress, DnsSettings } from './settings.ts'
import { TcpServer } from './tcp-server.ts'
import { type DnsServer, type DnsServerOptions, UdpServer } from './udp-server.ts'

/** What the DNS proxies of all workloads share. */
export interface DnsDependencies {
  readonly settings: DnsSettings
  readonly resolvConf: ResolvConfSource
  readonly metrics: DnsMetrics
  readonly log: ScopedLogger
}

export interface DnsProxyOptions extends DnsDependencies {
  readonly mesh: MeshView
  readonly local: LocalWorkload
  readonly sockets: SocketFactory
  readonly random: () => number
  /** Port of the name servers. Default 53. */
  readonly nameServerPort?: number
}

/** One of the proxy's sockets. */
export interface DnsEndpoint {
  readonly transport: 'tcp' | 'udp'
  readonly address: AddressInfo
}

/**
 * The DNS proxy of one workload: TCP and UDP on each of its addresses. Binds in `create`, answers from `run` on.
 */
export class DnsProxy {
  readonly #servers: readonly DnsServer[]
  readonly #responder: Responder
  readonly #forwarder: Forwarder
  #drained: Promise<void> | undefined

  private constructor(servers: readonly DnsServer[], responder: Responder, forwarder: Forwarder) {
    this.#servers = servers
    this.#responder = responder
    this.#forwarder = forwarder
  }

  /** Throws ProxyError `bind-failed`, with nothing left open. */
  static create(options: DnsProxyOptions): DnsProxy {
    const { sockets, resolvConf, nameServerPort, settings } = options
    const now = (): number => performance.now()
    const forwarder = new Forwarder({
      sockets,
      resolvConf,
      now,
      newId: () => randomInt(0x1_0000),
      ...(nameServerPort === undefined ? {} : { port: nameServerPort }),
    })
    const responder = new Responder({ ...options, forwarder, now: () => now() / 1000 })
    return new DnsProxy(bindAll(options, responder, settings), responder, forwarder)
  }

  async run(): Promise<readonly DnsEndpoint[]> {
    return Promise.all(
      this.#servers.map(async (server) => ({
        transport: server instanceof TcpServer ? ('tcp' as const) : ('udp' as const),
        address: await server.run(),
      })),
    )
  }

  /** See {@link Responder.lookup}. */
  lookup(name: string): Promise<readonly string[]> {
    return this.#responder.lookup(name)
  }

  /** Takes nothing new; resolves when all that was asked has been answered (wire/ztunnel 12.10). */
  async drain(): Promise<void> {
    this.#drained ??= Promise.all(this.#servers.map((server) => server.drain())).then(() => undefined)
    await this.#drained
  }

  close(): void {
    this.#forwarder.close()
    for (const server of this.#servers) server.close()
  }
}

/** TCP and then UDP of each address in turn (wire/ztunnel 1.4). */
function bindAll(
  options: DnsProxyOptions,
  responder: Responder,
  settings: DnsSettings,
): readonly DnsServer[] {
  const servers: DnsServer[] = []
  for (const { address, port, optional } of listenAddresses(settings.listen, settings.ipv6Enabled)) {
    try {
      servers.push(...bindAddress(options, responder, { address, port }))
    } catch (error) {
      if (!optional) {
        for (const server of servers) server.close()
        const where = formatSocketAddress({ address, port })
        throw new ProxyError('bind-failed', `failed to bind to address ${where}: ${errorText(error)}`, {
          cause: error,
        })
      }
      noteMissingIpv6(options.log, error)
    }
  }
  return servers
}

function bindAddress(
  { sockets, log }: DnsProxyOptions,
  responder: Responder,
  { address, port }: SocketAddress,
): readonly DnsServer[] {
  const common = (fd: number): DnsServerOptions => ({
    responder,
    fd,
    family: address.includes(':') ? 6 : 4,
    onError: (error) =>
      log.warn(`DNS on ${formatSocketAddress({ address, port })} failed`, { error: error.message }),
  })
  const tcp = new TcpServer(common(sockets.listen({ address, port, transparent: 'never' }).fd))
  try {
    return [tcp, new UdpServer(common(sockets.bindUdp({ address, port, shared: true })))]
  } catch (error) {
    tcp.close()
    throw error
  }
}

/** A pod must not go without its proxy because its ::1 is missing or taken: what asks there asks 127.0.0.1 as well. */
function listenAddresses(
  listen: DnsAddress,
  ipv6Enabled: boolean,
): readonly (SocketAddress & { readonly optional: boolean })[] {
  if (listen.kind === 'address') return [{ ...listen, optional: false }]
  const { port } = listen
  const v4 = { address: '127.0.0.1', port, optional: false }
  return ipv6Enabled ? [v4, { address: '::1', port, optional: true }] : [v4]
}

/** Where IPv6 is off (the lo sysctl, the kernel), that is how it shows; anything else is worth a line. */
function noteMissingIpv6(log: ScopedLogger, error: unknown): void {
  const off = error instanceof LinuxError && NO_IPV6.includes(error.errno ?? '')
  log[off ? 'debug' : 'warn']('no DNS on ::1, on 127.0.0.1 only', { error: errorText(error) })
}

const NO_IPV6 = ['EADDRNOTAVAIL', 'EAFNOSUPPORT']
