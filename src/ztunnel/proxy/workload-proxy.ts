import { HbonePool, type HboneRequest } from '../../hbone/index.ts'
import type { SvidSource } from '../../identity/index.ts'
import {
  formatSocketAddress,
  type MeshStore,
  type SocketAddress,
  workloadIdentity,
} from '../../mesh/index.ts'
import {
  type ConnectionTelemetry,
  type Direction,
  type OnDemandDnsMetrics,
  type ScopedLogger,
  type TrafficMetrics,
  WarningLimiter,
} from '../../telemetry/index.ts'
import { type DnsDependencies, DnsProxy } from '../dns/index.ts'
import { errorText, ProxyError } from '../errors.ts'
import type { ProxySettings } from '../settings.ts'
import { socks5Handler } from '../socks5/index.ts'
import { type CapturedSocket, CaptureListener } from './capture-listener.ts'
import { capturePorts, hbonePorts, type WorkloadPort } from './capture-ports.ts'
import { ConnectionLimit, type ConnectionShare } from './connection-limit.ts'
import { ConnectionTracker, type TrackedConnection } from './connection-tracker.ts'
import type { ConnectionHandler } from './handler.ts'
import { HboneAcceptor } from './hbone-acceptor.ts'
import { InFlight } from './in-flight.ts'
import { hboneHandler } from './inbound-hbone.ts'
import { type InboundDependencies, passthroughHandler } from './inbound-passthrough.ts'
import type { LocalWorkload } from './local-workload.ts'
import type { Demand } from './on-demand.ts'
import { type OutboundDependencies, outboundHandler } from './outbound.ts'
import type { VerdictListener } from './policy-log.ts'
import type { SocketFactory } from './socket-factory.ts'
import { WorkloadPolicies } from './workload-policies.ts'

/** What the proxies of all workloads share. */
export interface SharedDependencies {
  readonly mesh: MeshStore
  readonly svids: SvidSource
  readonly telemetry: ConnectionTelemetry
  readonly metrics: TrafficMetrics
  readonly log: ScopedLogger
  readonly settings: ProxySettings
  readonly onVerdict?: VerdictListener | undefined
  readonly onHostnameUsed?: OnDemandDnsMetrics | undefined
  readonly random: () => number
  /** DNS, for workloads that have a hostname in place of an address. */
  readonly lookup: (hostname: string) => Promise<readonly string[]>
  /** For what the mesh does not hold yet; absent when it holds all there is. */
  readonly demand?: Demand | undefined
  /** The DNS proxies'; absent when there are none. */
  readonly dns?: DnsDependencies | undefined
}

/** What one workload's proxy has of its own. */
export interface WorkloadProxyOptions {
  /** For a workload that is not captured: HBONE alone, delivered from the workload's own address. Default false. */
  readonly hboneOnly?: boolean
  /** This thread's part in the workload's connections, where it is served by several. */
  readonly share?: ConnectionShare | undefined
  /** Names for SOCKS5; default the DNS proxy's, if there is one. */
  readonly lookupName?: ((name: string) => Promise<readonly string[]>) | undefined
  /** Whether the listeners are named in the log: one thread is enough. Default true. */
  readonly announce?: boolean
}

/**
 * The node proxy of one workload: its DNS, its three capture ports, its pool of
 * tunnels and its live connections. Binds in `create`, serves from `run` on.
 */
export class WorkloadProxy {
  readonly local: LocalWorkload
  readonly #shared: SharedDependencies
  readonly #tracker = new ConnectionTracker()
  readonly #limit: ConnectionLimit
  readonly #handling = new InFlight()
  readonly #listenerWarnings = new WarningLimiter()
  readonly #pool: HbonePool
  readonly #acceptor: HboneAcceptor
  readonly #listeners: CaptureListener[] = []
  readonly #lookupName: WorkloadProxyOptions['lookupName']
  readonly #announce: boolean
  #dns: DnsProxy | undefined
  readonly #policies: WorkloadPolicies

  private constructor(
    shared: SharedDependencies,
    local: LocalWorkload,
    sockets: SocketFactory,
    { hboneOnly = false, share, lookupName, announce = true }: WorkloadProxyOptions,
  ) {
    this.#shared = shared
    this.local = local
    this.#lookupName = lookupName
    this.#announce = announce
    const { settings, mesh, svids, telemetry, log } = shared
    this.#policies = new WorkloadPolicies({ mesh, local, tracker: this.#tracker, log })
    this.#limit = new ConnectionLimit(settings.maxConnectionsPerWorkload, share)
    this.#pool = new HbonePool({
      connect: (target) => sockets.connect({ address: target.address, port: target.port }),
      settings: settings.hbone,
      maxStreamsPerConnection: settings.pool.maxStreamsPerConnection,
      idleTimeoutMs: settings.pool.idleTimeoutMs,
    })
    const handleRequest = hboneOnly ? this.#bindHbone(sockets) : this.#bind(sockets)
    this.#acceptor = new HboneAcceptor({
      local,
      svids,
      telemetry,
      settings,
      onRequest: (request) => {
        if (!this.#limit.enter()) return this.#refuseRequest(request)
        // Not when the tunnel closes: a dial, or an application that does not read, may outlive it.
        this.#handling.add(handleRequest(request), this.#leave)
      },
    })
  }

  /** Binds the capture ports; throws ProxyError `bind-failed`, with nothing left open. */
  static create(
    shared: SharedDependencies,
    local: LocalWorkload,
    sockets: SocketFactory,
    options: WorkloadProxyOptions = {},
  ): WorkloadProxy {
    return new WorkloadProxy(shared, local, sockets, options)
  }

  async run(): Promise<void> {
    await Promise.all([this.#dns?.run(), ...this.#listeners.map((listener) => listener.run())])
    if (!this.#shared.settings.proxyEnabled) return
    // Asked for now, so that the first connection does not wait for the CA.
    void this.#prefetch()
  }

  *connections(): Iterable<TrackedConnection> {
    yield* this.#tracker.list()
  }

  /** Refuses what is new, says GOAWAY, and lets what is open finish. */
  async drain(): Promise<void> {
    for (const listener of this.#listeners) listener.close()
    await Promise.all([this.#dns?.drain(), this.#acceptor.drain()])
    // Those that were accepted before may still be on their way to a tunnel.
    await this.#handling.idle()
    await this.#pool.drain()
  }

  /** Ends everything at once: the pod is gone, or the drain deadline has passed. */
  close(reason: Error = new ProxyError('drained', 'connection closed due to connection drain')): void {
    this.#policies.close()
    for (const listener of this.#listeners) listener.close()
    this.#dns?.close()
    this.#tracker.close(reason)
    this.#acceptor.close()
    this.#pool.close()
  }

  #bindHbone(sockets: SocketFactory): ReturnType<typeof hboneHandler> {
    const [hbone] = hbonePorts(this.#shared.settings)
    this.#listen(sockets, hbone, (captured) => this.#acceptor.accept(captured))
    // Without redirection no reply to a foreign address would come back to us.
    return hboneHandler({ ...this.#common(sockets), transparent: false })
  }

  /** Opens all that a captured workload has, in Istio's order, and returns the handler of HBONE requests. */
  #bind(sockets: SocketFactory): ReturnType<typeof hboneHandler> {
    const { dns, mesh, random } = this.#shared
    const common = this.#common(sockets)
    try {
      if (dns !== undefined) this.#dns = DnsProxy.create({ ...dns, mesh, random, local: this.local, sockets })
      const transparent = this.#shared.settings.proxyEnabled && this.#bindCapture(common)
      return hboneHandler({ ...common, transparent })
    } catch (error) {
      this.#dns?.close()
      for (const listener of this.#listeners) listener.close()
      throw error
    }
  }

  /** The capture ports; returns whether clients' addresses can be used towards the application. */
  #bindCapture(common: Omit<InboundDependencies, 'transparent'> & OutboundDependencies): boolean {
    const { sockets, local, telemetry } = common
    const [hbonePort, plaintextPort, outboundPort, socks5Port] = capturePorts(this.#shared.settings)
    const { transparent } = this.#listen(sockets, hbonePort, (captured) => this.#acceptor.accept(captured))
    this.#listen(sockets, plaintextPort, passthroughHandler({ ...common, transparent }))
    const outbound = outboundHandler(common)
    this.#listen(sockets, outboundPort, outbound)
    if (socks5Port !== undefined) {
      const dns = this.#dns
      const lookup = dns === undefined ? this.#lookupName : (name: string) => dns.lookup(name)
      this.#listen(sockets, socks5Port, socks5Handler({ local, telemetry, lookup, outbound }))
    }
    return transparent
  }

  #listen(
    sockets: SocketFactory,
    { port, component, address }: WorkloadPort,
    handle: ConnectionHandler<CapturedSocket> | ((captured: CapturedSocket) => Promise<void>),
  ): CaptureListener {
    const { settings, metrics, log } = this.#shared
    const direction = component === 'inbound' ? 'inbound' : 'outbound'
    // HBONE has its own PINGs, and a SOCKS client is on this machine; the other two rely on the kernel's keepalive.
    const captured = port === settings.ports.outbound || port === settings.ports.inboundPlaintext
    // One of each for all connections: there may be very many.
    const onClosed = (): void => metrics.socketClosed(direction)
    const onAdmittedClosed = (): void => {
      onClosed()
      this.#limit.leave()
    }
    const listener = CaptureListener.create({
      sockets,
      address,
      port,
      transparent: settings.originalSource,
      liveness: captured ? settings : undefined,
      onConnection: (captured) => {
        const admitted = this.#limit.enter()
        metrics.socketOpened(direction)
        // Comes once: `once` would only keep a wrapper for as long as the connection lives.
        captured.socket.on('close', admitted ? onAdmittedClosed : onClosed)
        // Until the pump takes over, an early reset must not be an uncaught error.
        captured.socket.on('error', ignore)
        if (!admitted) return this.#refuse(captured, direction)
        this.#handling.add(handle(captured))
      },
      // Out of descriptors, mostly: the kernel tells with every connection that it drops.
      onError: ({ message }) => {
        const what = `listener on ${formatSocketAddress({ address, port })} failed`
        this.#listenerWarnings.warn(log, `${port} ${message}`, what, { error: message })
      },
    })
    this.#listeners.push(listener)
    if (!this.#announce) return listener
    log.info('listener established', {
      address: formatSocketAddress({ address, port }),
      component,
      transparent: listener.transparent,
      workload: `${this.local.info.namespace}/${this.local.info.name}`,
    })
    return listener
  }

  readonly #leave = (): void => this.#limit.leave()

  #refuse({ socket, source, destination }: CapturedSocket, direction: Direction): void {
    socket.destroy()
    this.#reportRefusal(source, destination, direction)
  }

  #refuseRequest(request: HboneRequest): void {
    request.refuse(503)
    this.#reportRefusal(request.peer, request.local, 'inbound')
  }

  #reportRefusal(source: SocketAddress, destination: SocketAddress, direction: Direction): void {
    this.#shared.telemetry.rejectedEarly({
      sourceAddress: formatSocketAddress(source),
      destinationAddress: formatSocketAddress(destination),
      direction,
      error: this.#limit.refusal,
    })
  }

  async #prefetch(): Promise<void> {
    const { svids, log } = this.#shared
    try {
      svids.prefetch(workloadIdentity(await this.local.get()))
    } catch (error) {
      log.warn('certificate not prefetched', { error: errorText(error) })
    }
  }

  /** What the handlers of all ports need. */
  #common(sockets: SocketFactory): Omit<InboundDependencies, 'transparent'> & OutboundDependencies {
    return {
      ...this.#shared,
      local: this.local,
      sockets,
      tracker: this.#tracker,
      policies: this.#policies,
      pool: this.#pool,
    }
  }
}

function ignore(): void {}
