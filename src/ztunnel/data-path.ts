import type { SpiffeId } from '../identity/index.ts'
import type { NetworkNamespace } from '../linux/index.ts'
import type { LiveConnection } from '../telemetry/index.ts'
import type { Config } from './config/config.ts'
import type { PodProxy } from './inpod/pod-manager.ts'
import type { TrackedConnection } from './proxy/connection-tracker.ts'
import { createLocalWorkload, type LocalWorkload, type WorkloadInfo } from './proxy/local-workload.ts'
import { createSocketFactory } from './proxy/socket-factory.ts'
import { type SharedDependencies, WorkloadProxy } from './proxy/workload-proxy.ts'

/** A workload to be served. */
export interface ServedWorkload {
  readonly info: WorkloadInfo
  /** Where its sockets are; stays open for as long as the workload is served. Undefined: the process's own. */
  readonly namespace: NetworkNamespace | undefined
  /** SO_REUSEPORT towards other processes. */
  readonly reusePort: boolean
  /** See WorkloadProxy. */
  readonly hboneOnly: boolean
}

/** The proxy of one workload, wherever it runs. */
export interface ServedProxy extends PodProxy {
  connections(): Promise<readonly TrackedConnection[]>
}

/**
 * What carries connections, as those who decide for whom see it: on this thread, or spread over worker threads. It
 * shares nothing with them but what it is given.
 */
export interface DataPath {
  /** Binds the workload's listeners; throws ProxyError `bind-failed`. Connections are taken from `run` on. */
  serve(workload: ServedWorkload): ServedProxy
  /** All that are open now, oldest first. */
  connections(): Promise<readonly LiveConnection[]>
  /** No workload here has the identity any more. */
  forget(id: SpiffeId): void
  /** Brings the metrics up to date. */
  collect(): Promise<void>
  /** Records what is still open as drained. After this it serves nobody. */
  close(): Promise<void>
}

/** The data path on the calling thread. */
export function localDataPath(config: Config, shared: SharedDependencies): DataPath {
  const { telemetry } = shared
  return {
    serve({ info, namespace, reusePort, hboneOnly }) {
      const sockets = createSocketFactory({
        namespace,
        mark: config.packetMark,
        reusePort,
        liveness: shared.settings,
      })
      const proxy = WorkloadProxy.create(shared, localWorkload(config, shared, info), sockets, { hboneOnly })
      return {
        run: () => proxy.run(),
        drain: () => proxy.drain(),
        close: (reason) => proxy.close(reason),
        connections: async () => [...proxy.connections()],
      }
    },
    connections: async () => telemetry.connections(),
    // Its certificates are those of the SvidManager.
    forget: () => {},
    collect: async () => {},
    close: async () => telemetry.closeAll(),
  }
}

/** Asked for by the uid that istiod gives to pods, where it is not sent unasked. */
export function localWorkload(
  { clusterId }: Pick<Config, 'clusterId'>,
  { mesh, demand }: Pick<SharedDependencies, 'mesh' | 'demand'>,
  info: WorkloadInfo,
): LocalWorkload {
  const uid = `${clusterId}//Pod/${info.namespace}/${info.name}`
  return createLocalWorkload(mesh, info, () => void demand?.(uid))
}
