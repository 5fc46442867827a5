import { lookup } from 'node:dns/promises'
// Not the folder's index, which loads the CA's client with all of gRPC: 40 MB that a thread does not need.
import { unpackSvid } from '../../identity/packed-svid.ts'
import { SvidReplica } from '../../identity/svid-replica.ts'
import { duplicateDescriptor, NetworkNamespace } from '../../linux/index.ts'
import { MeshStore } from '../../mesh/index.ts'
import { ConnectionTelemetry, createLogger, type Logger, TrafficMetrics } from '../../telemetry/index.ts'
import { localWorkload } from '../data-path.ts'
import { ProxyError } from '../errors.ts'
import { policyLog } from '../proxy/policy-log.ts'
import { createSocketFactory, type SocketFactory } from '../proxy/socket-factory.ts'
import { type SharedDependencies, WorkloadProxy } from '../proxy/workload-proxy.ts'
import type { MainApi, ThreadData, ThreadWorkload, WorkerApi } from './api.ts'
import { type Answers, Channel, type Port } from './channel.ts'
import { relayedLog } from './log-relay.ts'
import { decodeChanges } from './mesh-feed.ts'

/** All that one worker thread has. */
interface DataThread {
  readonly data: ThreadData
  readonly main: Channel<MainApi, WorkerApi>
  readonly logger: Logger
  readonly mesh: MeshStore
  readonly svids: SvidReplica
  readonly metrics: TrafficMetrics
  readonly telemetry: ConnectionTelemetry
  readonly shared: SharedDependencies
  readonly proxies: Map<number, WorkloadProxy>
}

/**
 * The data path of one worker thread: a mesh that follows the main thread's, certificates that it is given, its own
 * listeners, pools and counters.
 */
export function startDataThread(port: Port, data: ThreadData): void {
  const main: Channel<MainApi, WorkerApi> = new Channel(
    port,
    answers(() => thread),
    ['mesh'],
  )
  const thread = createThread(data, main)
  main.tell('ready')
}

function createThread(data: ThreadData, main: Channel<MainApi, WorkerApi>): DataThread {
  const { settings, metricsMaxLabelSets: maxLabelSets, onDemand } = data
  const destination = relayedLog((lines) => main.tell('log', lines), data.logPending)
  const logger = createLogger({ format: data.logFormat, level: data.logFilter, destination })
  const mesh = new MeshStore({ node: data.nodeName })
  const svids = new SvidReplica({ fetch: async (id) => unpackSvid(await main.call('svid', id)) })
  const metrics = new TrafficMetrics({ maxLabelSets, reporting: true })
  mesh.subscribe(({ workloads }) => {
    for (const uid of workloads) if (mesh.workload(uid) === undefined) metrics.workloadRemoved(uid)
  })
  const telemetry = new ConnectionTelemetry({ log: logger.scope('access'), metrics })
  const shared: SharedDependencies = {
    mesh,
    svids,
    telemetry,
    metrics,
    log: logger.scope('proxy'),
    settings,
    onVerdict: policyLog(logger.scope('state'), data.authzPolicyInfoLogging ? 'info' : 'debug'),
    onHostnameUsed: ({ uid }, hostname) => main.tell('hostnameUsed', uid, hostname),
    random: Math.random,
    demand: onDemand ? (name) => main.call('demand', name) : undefined,
    lookup: async (hostname) => (await lookup(hostname, { all: true })).map(({ address }) => address),
  }
  return { data, main, logger, mesh, svids, metrics, telemetry, shared, proxies: new Map() }
}

/** `of` gives the thread, which exists before the first call is answered. */
function answers(of: () => DataThread): Answers<WorkerApi> {
  return {
    mesh: (changes) => void of().mesh.apply(decodeChanges(changes)),
    svid: (packed) => of().svids.put(unpackSvid(packed)),
    forget: (id) => of().svids.forget(id),
    logFilter: (filter) => of().logger.setFilter(filter),
    serve: (workload) => serve(of(), workload),
    drain: (workload) => of().proxies.get(workload)?.drain(),
    close: (workload) => {
      const { proxies } = of()
      proxies.get(workload)?.close()
      proxies.delete(workload)
    },
    connections: () => of().telemetry.connections(),
    workloadConnections: (workload) => [...(of().proxies.get(workload)?.connections() ?? [])],
    report: () => of().metrics.takeReport(),
    finish: () => {
      const { telemetry, metrics, logger } = of()
      telemetry.closeAll()
      logger.flush()
      return metrics.takeReport()
    },
  }
}

async function serve(thread: DataThread, served: ThreadWorkload): Promise<void> {
  const { data, shared, main, proxies } = thread
  const { workload, info, hboneOnly, counts } = served
  const proxy = WorkloadProxy.create(shared, localWorkload(data, shared, info), socketsOf(thread, served), {
    hboneOnly,
    share: { counts, thread: data.thread },
    lookupName: data.dns ? (name) => main.call('lookup', workload, name) : undefined,
    announce: false,
  })
  proxies.set(workload, proxy)
  await proxy.run()
}

/** Listens on what the main thread has bound; dials from the workload's namespace, which the main thread keeps open. */
function socketsOf({ data, proxies }: DataThread, served: ThreadWorkload): SocketFactory {
  const { workload, namespace, listeners } = served
  const sockets = createSocketFactory({
    namespace: namespace === undefined ? undefined : NetworkNamespace.fromFd(namespace),
    mark: data.packetMark,
    reusePort: false,
    liveness: data.settings,
  })
  const bound = listeners.values()
  return {
    ...sockets,
    connect(destination, source) {
      // The number may be another file's by now.
      if (!proxies.has(workload)) throw new ProxyError('drained', 'connection closed due to connection drain')
      return sockets.connect(destination, source)
    },
    listen() {
      const next = bound.next()
      if (next.done === true) throw new Error('a listener that the main thread has not bound')
      // A copy, which Node closes with this thread; the main thread's own keeps the port for the thread that follows.
      return { fd: duplicateDescriptor(next.value.fd), transparent: next.value.transparent }
    },
  }
}
