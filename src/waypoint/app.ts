import { lookup } from 'node:dns/promises'
import { routeName } from '../mesh/http/index.ts'
import { MeshStore, policyName } from '../mesh/index.ts'
import {
  ConnectionTelemetry,
  createMetrics,
  HttpMetrics,
  type Logger,
  type Metrics,
  RequestLog,
} from '../telemetry/index.ts'
import { startAdminServer } from '../ztunnel/admin/admin-server.ts'
import type { BoundHttpServer } from '../ztunnel/admin/http-server.ts'
import { Readiness } from '../ztunnel/admin/readiness.ts'
import { startReadinessServer } from '../ztunnel/admin/readiness-server.ts'
import { startStatsServer } from '../ztunnel/admin/stats-server.ts'
import { describeConfig } from '../ztunnel/config/config.ts'
import { type ControlPlane, connectControlPlane } from '../ztunnel/control-plane.ts'
import { Drain, type DrainMode } from '../ztunnel/drain.ts'
import { errorText } from '../ztunnel/errors.ts'
import { createLocalWorkload } from '../ztunnel/proxy/local-workload.ts'
import { policyLog } from '../ztunnel/proxy/policy-log.ts'
import { createSocketFactory } from '../ztunnel/proxy/socket-factory.ts'
import { proxySettings } from '../ztunnel/proxy-settings.ts'
import type { VersionInfo } from '../ztunnel/version.ts'
import type { WaypointConfig } from './config.ts'
import { WaypointRules } from './rules.ts'
import { Waypoint } from './waypoint.ts'
import { waypointTypes } from './xds-types.ts'

export interface WaypointAppOptions {
  readonly config: WaypointConfig
  readonly logger: Logger
  readonly version: VersionInfo
}

/** A running waypoint. */
export interface WaypointApp {
  /** As bound; for configurations that ask for port 0. */
  readonly ports: { readonly admin: number; readonly stats: number; readonly readiness: number }
  /** Resolves when all has ended; rejects when it could not go on. */
  readonly stopped: Promise<void>
  /** Drains, at most for the configured deadline; `immediate` ends also a drain that is under way. */
  shutdown(mode?: DrainMode): Promise<void>
}

/**
 * A waypoint: the one place that knows all of its parts. Rejects with
 * ProxyError when a port is taken; from then on, a lost control plane only
 * delays what is new.
 */
export async function startWaypoint(options: WaypointAppOptions): Promise<WaypointApp> {
  const { config, logger, version } = options
  const { base, gateway } = config
  const log = logger.scope('app')
  log.info('starting', { version: version.version, gateway, config: describeConfig(base) })
  for (const warning of base.warnings) log.warn(warning)
  const metrics = createMetrics({ istioVersion: base.istioVersion, maxLabelSets: base.metricsMaxLabelSets })
  const mesh = new MeshStore({ node: base.nodeName })
  mesh.subscribe(({ workloads }) => {
    for (const uid of workloads) if (mesh.workload(uid) === undefined) metrics.traffic.workloadRemoved(uid)
  })
  const rules = new WaypointRules(gateway)
  const control = await connectControlPlane(base, mesh, logger, metrics.xds, waypointTypes(mesh, rules))
  const telemetry = new ConnectionTelemetry({ log: logger.scope('access'), metrics: metrics.traffic })
  const httpMetrics = new HttpMetrics()
  const waypoint = createDataPath(options, { mesh, rules, control, telemetry, metrics, httpMetrics })
  try {
    return await serve(options, { mesh, rules, control, telemetry, metrics, httpMetrics, waypoint })
  } catch (error) {
    waypoint.close()
    await control.close()
    throw error
  }
}

interface Parts {
  readonly mesh: MeshStore
  readonly rules: WaypointRules
  readonly control: ControlPlane
  readonly telemetry: ConnectionTelemetry
  readonly metrics: Metrics
  readonly httpMetrics: HttpMetrics
}

function createDataPath({ config, logger }: WaypointAppOptions, parts: Parts): Waypoint {
  const { base, workload, xfcc } = config
  const settings = proxySettings(base)
  return Waypoint.create({
    ...parts,
    svids: parts.control.svids,
    metrics: parts.metrics.traffic,
    local: createLocalWorkload(parts.mesh, workload),
    sockets: createSocketFactory({
      namespace: undefined,
      mark: base.packetMark,
      // A roll-out's next process takes over while the last one drains.
      reusePort: base.inpodPortReuse,
      liveness: settings,
    }),
    settings,
    log: logger.scope('proxy'),
    requestLog: new RequestLog(logger.scope('access')),
    xfcc,
    random: Math.random,
    lookup: async (hostname) => (await lookup(hostname, { all: true })).map(({ address }) => address),
    onVerdict: policyLog(logger.scope('state'), base.authzPolicyInfoLogging ? 'info' : 'debug'),
  })
}

async function serve(
  options: WaypointAppOptions,
  parts: Parts & { readonly waypoint: Waypoint },
): Promise<WaypointApp> {
  const { config, logger } = options
  const { control, waypoint, telemetry } = parts
  const log = logger.scope('app')
  const readiness = new Readiness({ log: logger.scope('readiness') })
  const stateReady = readiness.register('state manager')
  const drain = new Drain({ log: logger.scope('drain') })
  const stopped = Promise.withResolvers<void>()
  const shutdown = async (mode: DrainMode = 'graceful'): Promise<void> => {
    const deadline = config.base.drainDeadlineMs
    if (drain.signal.aborted) return drain.start(mode, deadline)
    const release = drain.hold('connections')
    waypoint.drain().finally(release)
    drain.forced.addEventListener('abort', () => waypoint.close(), { once: true })
    // Readiness goes first; admin and stats stay to the end: a drain is when one wants to look.
    const notReady = servers.readiness.close()
    await drain.start(mode, deadline)
    waypoint.close()
    telemetry.closeAll()
    await Promise.all([notReady, servers.admin.close(), servers.stats.close(), control.close()])
    stopped.resolve()
  }
  const servers = await startServers(options, parts, readiness, () => void shutdown())
  control.start()
  const run = async (): Promise<void> => {
    await control.synced
    // Before that, what is denied might be let through.
    if (!drain.signal.aborted) await waypoint.run()
    stateReady.complete()
  }
  run().catch((error: unknown) => {
    log.error('cannot go on', { error: errorText(error) })
    stopped.reject(error)
  })
  const { admin, stats } = servers
  return {
    ports: { admin: admin.port, stats: stats.port, readiness: servers.readiness.port },
    stopped: stopped.promise,
    shutdown,
  }
}

interface Servers {
  readonly admin: BoundHttpServer
  readonly stats: BoundHttpServer
  readonly readiness: BoundHttpServer
}

/** All or none. */
async function startServers(
  { config, logger, version }: WaypointAppOptions,
  { mesh, rules, control, telemetry, metrics, httpMetrics }: Parts,
  readiness: Readiness,
  shutdown: () => void,
): Promise<Servers> {
  const { ports, ipv6Enabled } = config.base
  const sources = {
    certificates: () => control.svids.dump(),
    config: () => ({ ...describeConfig(config.base), gateway: config.gateway, xfcc: config.xfcc }),
    mesh,
    workloadState: async () => undefined,
    connections: async () => telemetry.connections(),
    explain: async () =>
      ({ status: 404, message: 'ask the proxy of the source: a waypoint explains in its log' }) as const,
    version,
    others: () => dumpRules(rules),
  }
  const exposition = async (): Promise<string> => httpMetrics.exposition() + (await metrics.exposition())
  await using started = new AsyncDisposableStack()
  const admin = started.use(
    await startAdminServer({ sources, logger, shutdown, port: ports.admin, ipv6Enabled }),
  )
  const log = logger.scope('stats')
  const stats = started.use(
    await startStatsServer({ metrics: { exposition }, port: ports.stats, log, ipv6Enabled }),
  )
  const options = { readiness, port: ports.readiness, log: logger.scope('readiness'), ipv6Enabled }
  const ready = started.use(await startReadinessServer(options))
  started.move()
  return { admin, stats, readiness: ready }
}

/** Sorted by name, as the rest of the dump is. */
function dumpRules(rules: WaypointRules): Readonly<Record<string, unknown>> {
  const byName = <Item>(items: Iterable<Item>, name: (item: Item) => string): unknown[] =>
    [...items]
      .map((item) => [name(item), item] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, item]) => item)
  return {
    routes: byName(rules.routes.routes, routeName),
    waypointPolicies: byName(rules.policies.values(), policyName),
  }
}
