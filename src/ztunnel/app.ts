import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { MeshStore } from '../mesh/index.ts'
import { ConnectionTelemetry, createMetrics, type Logger, type Metrics } from '../telemetry/index.ts'
import { startAdminServer } from './admin/admin-server.ts'
import { explain } from './admin/explain.ts'
import type { BoundHttpServer } from './admin/http-server.ts'
import { Readiness, type ReadinessTask } from './admin/readiness.ts'
import { startReadinessServer } from './admin/readiness-server.ts'
import { startStatsServer } from './admin/stats-server.ts'
import { dumpWorkloads } from './admin/workload-state.ts'
import { type Config, describeConfig } from './config/config.ts'
import { type ControlPlane, connectControlPlane } from './control-plane.ts'
import { type DataPath, localDataPath } from './data-path.ts'
import { type DnsDependencies, watchResolvConf } from './dns/index.ts'
import { Drain, type DrainMode } from './drain.ts'
import { errorText } from './errors.ts'
import { dedicatedWorkload, nodePods, type Workloads, withOwnWorkload } from './pods.ts'
import { policyLog } from './proxy/policy-log.ts'
import type { SharedDependencies } from './proxy/workload-proxy.ts'
import { dnsSettings, proxySettings } from './proxy-settings.ts'
import { ThreadedDataPath } from './threads/threaded-data-path.ts'
import { trimMemory } from './trim-memory.ts'
import type { VersionInfo } from './version.ts'

export interface ZtunnelOptions {
  readonly config: Config
  readonly logger: Logger
  readonly version: VersionInfo
}

/** A running node proxy. */
export interface Ztunnel {
  /** As bound; for configurations that ask for port 0. */
  readonly ports: { readonly admin: number; readonly stats: number; readonly readiness: number }
  /** Resolves when all has ended; rejects when it could not go on. */
  readonly stopped: Promise<void>
  /** Drains, at most for the configured deadline; `immediate` ends also a drain that is under way. */
  shutdown(mode?: DrainMode): Promise<void>
}

/**
 * The node proxy: the one place that knows all of its parts. Rejects with
 * ProxyError when a port is taken or the configuration cannot work; from then
 * on, a lost control plane or agent only delays what is new.
 */
export async function startZtunnel({ config, logger, version }: ZtunnelOptions): Promise<Ztunnel> {
  const log = logger.scope('app')
  log.info('starting', {
    version: version.version,
    node: version.nodeVersion,
    config: describeConfig(config),
  })
  for (const warning of config.warnings) log.warn(warning)

  const metrics = createMetrics({
    istioVersion: config.istioVersion,
    maxLabelSets: config.metricsMaxLabelSets,
  })
  const telemetry = new ConnectionTelemetry({ log: logger.scope('access'), metrics: metrics.traffic })
  const mesh = new MeshStore({ node: config.nodeName })
  mesh.subscribe(({ workloads }) => {
    for (const uid of workloads) if (mesh.workload(uid) === undefined) metrics.traffic.workloadRemoved(uid)
  })
  const control = await connectControlPlane(config, mesh, logger, metrics.xds)
  const shared = sharedDependencies(config, logger, metrics, telemetry, mesh, control)
  const dataPath = await startDataPath(config, logger, shared, control)
  try {
    return await compose({ config, logger, version, metrics, mesh, control, shared, dataPath })
  } catch (error) {
    // Threads would keep the process alive.
    await dataPath.close()
    throw error
  }
}

interface Parts extends ZtunnelOptions {
  readonly metrics: Metrics
  readonly mesh: MeshStore
  readonly control: ControlPlane
  readonly shared: SharedDependencies
  readonly dataPath: DataPath
}

async function compose(parts: Parts): Promise<Ztunnel> {
  const { config, logger, version, metrics, mesh, control, shared, dataPath } = parts
  const log = logger.scope('app')
  const readiness = new Readiness({ log: logger.scope('readiness') })
  const stateReady = readiness.register('state manager')
  const workloads = createWorkloads(
    config,
    logger,
    metrics,
    { dataPath, mesh, svids: control.svids },
    readiness,
  )
  const drain = new Drain({ log: logger.scope('drain') })

  const stopped = Promise.withResolvers<void>()
  const shutdown = async (mode: DrainMode = 'graceful'): Promise<void> => {
    if (drain.signal.aborted) return drain.start(mode, config.drainDeadlineMs)
    await stop({ config, drain, mode, workloads, dataPath, control, servers })
    stopped.resolve()
  }
  const exposition = async (): Promise<string> => {
    await dataPath.collect()
    return metrics.exposition()
  }
  const common = { ipv6Enabled: config.ipv6Enabled }
  const sources = {
    certificates: () => control.svids.dump(),
    config: () => describeConfig(config),
    mesh,
    workloadState: () => dumpWorkloads(workloads.dump()),
    connections: () => dataPath.connections(),
    explain: (source: string, destination: string) => explain({ ...config, ...shared }, source, destination),
    version,
  }
  const servers = await startServers([
    () =>
      startAdminServer({
        sources,
        logger,
        shutdown: () => void shutdown(),
        port: config.ports.admin,
        ...common,
      }),
    () =>
      startStatsServer({
        metrics: { exposition },
        port: config.ports.stats,
        log: logger.scope('stats'),
        ...common,
      }),
    () =>
      startReadinessServer({
        readiness,
        port: config.ports.readiness,
        log: logger.scope('readiness'),
        ...common,
      }),
  ])
  await trimMemory()
  control.start()
  serve(control, stateReady, workloads, drain.signal).catch((error) => {
    log.error('cannot go on', { error: errorText(error) })
    stopped.reject(error)
  })
  const [admin, stats, ready] = servers
  return {
    ports: { admin: admin?.port ?? 0, stats: stats?.port ?? 0, readiness: ready?.port ?? 0 },
    stopped: stopped.promise,
    shutdown,
  }
}

/** One thread is this one: the messages between threads would buy nothing. */
async function startDataPath(
  config: Config,
  logger: Logger,
  shared: SharedDependencies,
  { svids }: ControlPlane,
): Promise<DataPath> {
  const threads = config.numWorkerThreads
  if (threads === 1) return localDataPath(config, shared)
  return ThreadedDataPath.start({ config, logger, shared, svids, threads })
}

function sharedDependencies(
  config: Config,
  logger: Logger,
  metrics: Metrics,
  telemetry: ConnectionTelemetry,
  mesh: MeshStore,
  control: ControlPlane,
): SharedDependencies {
  return {
    mesh,
    svids: control.svids,
    telemetry,
    metrics: metrics.traffic,
    log: logger.scope('proxy'),
    settings: proxySettings(config),
    onVerdict: policyLog(logger.scope('state'), config.authzPolicyInfoLogging ? 'info' : 'debug'),
    onHostnameUsed: metrics.onDemandDns,
    random: Math.random,
    demand: control.demand,
    dns: dnsDependencies(config, logger, metrics),
    lookup: async (hostname) => (await lookup(hostname, { all: true })).map(({ address }) => address),
  }
}

/** Questions that the mesh has no answer to go where those of the proxy itself go. */
function dnsDependencies(config: Config, logger: Logger, metrics: Metrics): DnsDependencies | undefined {
  const resolvConf = watchResolvConf({
    read: () => readFileSync('/etc/resolv.conf', 'utf8'),
    now: () => performance.now(),
  })
  const { nameservers, search } = resolvConf.current()
  const settings = dnsSettings(config, search)
  if (settings === undefined) return undefined
  const log = logger.scope('dns')
  if (nameservers.length === 0)
    log.warn('/etc/resolv.conf names no name server: only names of the mesh are answered')
  return { settings, resolvConf, metrics: metrics.dns, log }
}

function createWorkloads(
  config: Config,
  logger: Logger,
  metrics: Metrics,
  parts: { dataPath: DataPath; mesh: MeshStore; svids: ControlPlane['svids'] },
  readiness: Readiness,
): Workloads {
  const { proxyWorkload } = config
  if (proxyWorkload !== undefined) {
    return dedicatedWorkload({ config, ...parts, ready: readiness.register('proxy') }, proxyWorkload)
  }
  const ready = readiness.register('workload proxy manager')
  const pods = nodePods({ config, ...parts, logger, metrics: metrics.workloadManager, ready })
  return withOwnWorkload(config, parts.dataPath, pods)
}

/** Traffic is taken once the mesh is known: before that, every route would be a guess. */
async function serve(
  control: ControlPlane,
  stateReady: ReadinessTask,
  workloads: Workloads,
  signal: AbortSignal,
): Promise<void> {
  await control.synced
  stateReady.complete()
  if (signal.aborted) return
  await workloads.run(signal)
}

/** All or none. */
async function startServers(
  starts: readonly (() => Promise<BoundHttpServer>)[],
): Promise<readonly BoundHttpServer[]> {
  const servers: BoundHttpServer[] = []
  try {
    for (const start of starts) servers.push(await start())
    return servers
  } catch (error) {
    await Promise.all(servers.map((server) => server.close()))
    throw error
  }
}

interface Running {
  readonly config: Config
  readonly drain: Drain
  readonly mode: DrainMode
  readonly workloads: Workloads
  readonly dataPath: DataPath
  readonly control: ControlPlane
  readonly servers: readonly BoundHttpServer[]
}

/**
 * New connections are refused at once; open ones may end until the deadline
 * (wire/ztunnel 16). Readiness goes first, so that nobody is sent here any
 * more; admin and stats stay to the end: a drain is when one wants to look.
 */
async function stop(running: Running): Promise<void> {
  const { config, drain, mode, workloads, dataPath, control, servers } = running
  const [admin, stats, readiness] = servers
  const release = drain.hold('workloads')
  workloads.drain().finally(release)
  drain.forced.addEventListener('abort', () => workloads.close(), { once: true })
  const notReady = readiness?.close()
  await drain.start(mode, config.drainDeadlineMs)
  workloads.close()
  await dataPath.close()
  await Promise.all([notReady, admin?.close(), stats?.close(), control.close()])
}
