import type { SvidManager } from '../identity/index.ts'
import { type MeshStore, workloadIdentity } from '../mesh/index.ts'
import type { Logger, WorkloadManagerMetrics } from '../telemetry/index.ts'
import type { ReadinessTask } from './admin/readiness.ts'
import type { Config } from './config/config.ts'
import type { DataPath, ServedProxy } from './data-path.ts'
import { runAgentSession } from './inpod/agent-session.ts'
import { PodManager } from './inpod/pod-manager.ts'
import { requireNamespacePrivileges } from './privileges.ts'
import type { WorkloadInfo } from './proxy/local-workload.ts'

/** The workloads that a proxy process serves, whichever mode it runs in. */
export interface Workloads {
  /** Serves until the signal fires; rejects when it cannot go on. */
  run(signal: AbortSignal): Promise<void>
  /** uid to proxy, and what there is to say of the pods that have none. */
  dump(): Iterable<[string, WorkloadDump]>
  drain(): Promise<void>
  close(): void
}

export interface WorkloadDump {
  readonly state: 'Up' | 'Pending'
  readonly info: WorkloadInfo
  readonly error?: string
  readonly proxy?: ServedProxy
}

export interface PodsOptions {
  readonly config: Config
  readonly dataPath: DataPath
  readonly mesh: MeshStore
  readonly svids: Pick<SvidManager, 'forget'>
  readonly logger: Logger
  readonly metrics: WorkloadManagerMetrics
  readonly ready: ReadinessTask
}

/** Shared mode: the pods of this node, as the agent names them. Throws ProxyError `configuration` without the privileges. */
export function nodePods({ config, dataPath, mesh, svids, logger, metrics, ready }: PodsOptions): Workloads {
  requireNamespacePrivileges(config.packetMark)
  const log = logger.scope('inpod')
  const pods = new PodManager<ServedProxy>({
    start: (_uid, info, namespace) =>
      dataPath.serve({ info, namespace, reusePort: config.inpodPortReuse, hboneOnly: false }),
    onReceived: (uid, info) => log.info('pod received, starting proxy', { uid, ...info }),
    onStarted: (uid, info) => {
      metrics.proxyStarted()
      log.info('proxy started', { uid, ...info })
    },
    onStopped: (uid, info, lastOfIdentity) => {
      metrics.proxyStopped()
      log.info('proxy stopped', { uid, ...info })
      const workload = mesh.localWorkload(info.name, info.namespace, info.serviceAccount)
      if (!lastOfIdentity || workload === undefined) return
      const id = workloadIdentity(workload)
      svids.forget(id)
      dataPath.forget(id)
    },
    onRetryFailed: (uid, info, error) => log.warn('proxy cannot be started yet', { uid, ...info, error }),
    onChange: ({ active, pending }) => {
      metrics.activeProxies(active)
      metrics.pendingProxies(pending)
      if (pods.synced) ready.complete()
    },
  })
  return {
    run: (signal) =>
      runAgentSession({
        path: config.inpodUds,
        pods,
        signal,
        onSnapshot: () => log.info('received snapshot sent', { pods: [...pods.states()].length }),
        onConnected: () => log.info('connected to the node agent', { path: config.inpodUds }),
        onDisconnected: (reason, retryInMs) => {
          ready.reopen()
          log.warn('not connected to the node agent', { path: config.inpodUds, reason, retryInMs })
        },
      }),
    *dump() {
      for (const [uid, { state, info, ...rest }] of pods.states()) {
        yield [uid, { state, info, ...rest }]
      }
    },
    drain: () => pods.drain(),
    close: () => pods.close(),
  }
}

/**
 * The proxy's own workload beside those of its pods, when the proxy knows which it is (POD_NAME, POD_NAMESPACE,
 * SERVICE_ACCOUNT): HBONE in the proxy's own namespace, so that its metrics are reached by identity like any pod's port
 * (wire/ztunnel 1.5). Throws ProxyError `bind-failed`.
 */
export function withOwnWorkload(config: Config, dataPath: DataPath, pods: Workloads): Workloads {
  const info = config.ownWorkload
  if (info === undefined) return pods
  const own = dataPath.serve({
    info,
    namespace: undefined,
    reusePort: config.inpodPortReuse,
    hboneOnly: true,
  })
  return {
    async run(signal) {
      await own.run()
      await pods.run(signal)
    },
    dump: () => pods.dump(),
    drain: async () => void (await Promise.all([own.drain(), pods.drain()])),
    close() {
      own.close()
      pods.close()
    },
  }
}

/** Dedicated mode: one workload, in the namespace that the process runs in. */
export function dedicatedWorkload(
  { config, dataPath, ready }: Pick<PodsOptions, 'config' | 'dataPath' | 'ready'>,
  info: WorkloadInfo,
): Workloads {
  // Nobody else is expected on the ports, but threads of its own.
  const reusePort = config.numWorkerThreads > 1
  const proxy = dataPath.serve({ info, namespace: undefined, reusePort, hboneOnly: false })
  return {
    async run() {
      await proxy.run()
      ready.complete()
    },
    *dump() {
      yield [`${info.namespace}/${info.name}`, { state: 'Up', info, proxy }]
    },
    drain: () => proxy.drain(),
    close: () => proxy.close(),
  }
}
