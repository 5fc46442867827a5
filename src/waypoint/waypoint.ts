import { HbonePool } from '../hbone/index.ts'
import type { SvidSource } from '../identity/index.ts'
import { formatSocketAddress, type MeshStore, workloadIdentity } from '../mesh/index.ts'
import {
  type ConnectionTelemetry,
  type HttpMetrics,
  type RequestLog,
  type ScopedLogger,
  type TrafficMetrics,
  WarningLimiter,
} from '../telemetry/index.ts'
import { errorText, ProxyError } from '../ztunnel/errors.ts'
import { type CapturedSocket, CaptureListener } from '../ztunnel/proxy/capture-listener.ts'
import { ConnectionLimit } from '../ztunnel/proxy/connection-limit.ts'
import { ConnectionTracker } from '../ztunnel/proxy/connection-tracker.ts'
import { HboneAcceptor } from '../ztunnel/proxy/hbone-acceptor.ts'
import { InFlight } from '../ztunnel/proxy/in-flight.ts'
import type { LocalWorkload } from '../ztunnel/proxy/local-workload.ts'
import type { VerdictListener } from '../ztunnel/proxy/policy-log.ts'
import type { SocketFactory } from '../ztunnel/proxy/socket-factory.ts'
import type { ProxySettings } from '../ztunnel/settings.ts'
import { type Arrival, isArrivalContext } from './arrival.ts'
import { HttpUpstreamPool, serveHttp } from './http/index.ts'
import { type HttpHandlerDependencies, httpHandler } from './http-handler.ts'
import type { WaypointRules } from './rules.ts'
import { type TunnelHandlerDependencies, tunnelHandler } from './tunnel-handler.ts'

export interface WaypointOptions {
  readonly mesh: MeshStore
  readonly rules: WaypointRules
  readonly svids: SvidSource
  readonly local: LocalWorkload
  readonly sockets: SocketFactory
  readonly telemetry: ConnectionTelemetry
  readonly metrics: TrafficMetrics
  readonly httpMetrics: HttpMetrics
  readonly settings: ProxySettings
  /** Scope `proxy`. */
  readonly log: ScopedLogger
  readonly requestLog: RequestLog
  /** Whether applications are told who the client is. */
  readonly xfcc: boolean
  readonly random: () => number
  /** DNS, for workloads that have a hostname in place of an address. */
  readonly lookup: (hostname: string) => Promise<readonly string[]>
  readonly onVerdict?: VerdictListener | undefined
}

/**
 * The data path of a waypoint: one HBONE listener, a pool of tunnels, a pool
 * of HTTP connections in them. Binds in `create`, serves from `run` on.
 */
export class Waypoint {
  readonly #options: WaypointOptions
  readonly #tracker = new ConnectionTracker()
  readonly #limit: ConnectionLimit
  readonly #handling = new InFlight()
  readonly #warnings = new WarningLimiter()
  readonly #pool: HbonePool
  readonly #upstreams = new HttpUpstreamPool()
  readonly #draining = new AbortController()
  readonly #acceptor: HboneAcceptor
  readonly #listener: CaptureListener
  readonly #unsubscribe: () => void

  private constructor(options: WaypointOptions) {
    this.#options = options
    const { settings, sockets, rules } = options
    this.#limit = new ConnectionLimit(settings.maxConnectionsPerWorkload)
    this.#pool = new HbonePool({
      connect: ({ address, port }) => sockets.connect({ address, port }),
      settings: settings.hbone,
      maxStreamsPerConnection: settings.pool.maxStreamsPerConnection,
      idleTimeoutMs: settings.pool.idleTimeoutMs,
    })
    const handle = tunnelHandler(this.#dependencies())
    this.#acceptor = new HboneAcceptor({
      ...options,
      onRequest: (request) => {
        const release = this.#limit.take()
        if (release === undefined) {
          request.refuse(503)
          return this.#reportRefusal(formatSocketAddress(request.peer), formatSocketAddress(request.local))
        }
        // Not when the tunnel closes: what is done for it may outlive it.
        this.#handling.add(handle(request), release)
      },
    })
    this.#listener = this.#listen()
    this.#unsubscribe = rules.policies.onChange(() => this.#reevaluate())
  }

  /** Binds 15008; throws ProxyError `bind-failed`. */
  static create(options: WaypointOptions): Waypoint {
    return new Waypoint(options)
  }

  async run(): Promise<void> {
    await this.#listener.run()
    const { svids, local, log } = this.#options
    // Asked for now, so that the first connection does not wait for the CA.
    local.get().then(
      (workload) => svids.prefetch(workloadIdentity(workload)),
      (error: unknown) => log.warn('certificate not prefetched', { error: errorText(error) }),
    )
  }

  /** Refuses what is new, says GOAWAY, ends each HTTP connection after its requests, and lets TCP finish. */
  async drain(): Promise<void> {
    this.#listener.close()
    this.#draining.abort()
    await this.#acceptor.drain()
    await this.#handling.idle()
    await this.#upstreams.drain()
    await this.#pool.drain()
  }

  /** Ends everything at once. */
  close(reason: Error = new ProxyError('drained', 'connection closed due to connection drain')): void {
    this.#unsubscribe()
    this.#listener.close()
    this.#draining.abort()
    this.#tracker.close(reason)
    this.#acceptor.close()
    this.#upstreams.close()
    this.#pool.close()
  }

  /** What is denied now is cut; requests are judged one by one and need no cutting. */
  #reevaluate(): void {
    this.#tracker.reevaluate((context) => {
      if (!isArrivalContext(context)) return undefined
      const verdict = this.#options.rules.judge(context, undefined)
      return verdict.allowed ? undefined : verdict
    })
  }

  #dependencies(): TunnelHandlerDependencies {
    const deps = { ...this.#options, pool: this.#pool, tracker: this.#tracker }
    const handler = httpHandler(deps satisfies HttpHandlerDependencies)
    return {
      ...deps,
      serveHttp: (tunnel, arrival) => this.#serveHttp(tunnel, arrival, handler),
    }
  }

  #serveHttp(
    tunnel: Parameters<typeof serveHttp>[0],
    arrival: Arrival,
    handler: ReturnType<typeof httpHandler>,
  ): Promise<void> {
    return serveHttp(tunnel, {
      protocol: 'auto',
      upstreams: this.#upstreams,
      onRequest: (exchange) => void handler.request(exchange, arrival),
      onRefused: (status, reason) => handler.refused(status, reason, arrival),
      signal: this.#draining.signal,
    })
  }

  #listen(): CaptureListener {
    const { sockets, settings, log } = this.#options
    const port = settings.ports.inboundHbone
    const address = settings.bindAddress
    const where = formatSocketAddress({ address, port })
    const listener = CaptureListener.create({
      sockets,
      address,
      port,
      // Endpoints see the waypoint's address: there is no other to take.
      transparent: 'never',
      liveness: undefined,
      onConnection: (captured) => this.#accept(captured),
      onError: ({ message }) =>
        this.#warnings.warn(log, message, `listener on ${where} failed`, { error: message }),
    })
    log.info('listener established', { address: where, component: 'waypoint' })
    return listener
  }

  #accept(captured: CapturedSocket): void {
    const { metrics } = this.#options
    const { socket, source, destination } = captured
    const release = this.#limit.take()
    metrics.socketOpened('inbound')
    socket.on('close', () => {
      metrics.socketClosed('inbound')
      release?.()
    })
    // Until TLS takes over, an early reset must not be an uncaught error.
    socket.on('error', () => {})
    if (release !== undefined) {
      this.#handling.add(this.#acceptor.accept(captured))
      return
    }
    socket.destroy()
    this.#reportRefusal(formatSocketAddress(source), formatSocketAddress(destination))
  }

  #reportRefusal(sourceAddress: string, destinationAddress: string): void {
    const error = this.#limit.refusal
    this.#options.telemetry.rejectedEarly({ sourceAddress, destinationAddress, direction: 'inbound', error })
  }
}
