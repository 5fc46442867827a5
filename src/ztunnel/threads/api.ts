import type { PackedSvid, SpiffeId } from '../../identity/index.ts'
import type { LiveConnection, LogFormat, TrafficReport } from '../../telemetry/index.ts'
import type { ConnectionCounts } from '../proxy/connection-limit.ts'
import type { TrackedConnection } from '../proxy/connection-tracker.ts'
import type { WorkloadInfo } from '../proxy/local-workload.ts'
import type { ProxySettings } from '../settings.ts'

/** What a worker thread is told at its birth. */
export interface ThreadData {
  /** From 0. */
  readonly thread: number
  readonly settings: ProxySettings
  readonly clusterId: string
  readonly nodeName: string | undefined
  readonly packetMark: number | undefined
  readonly metricsMaxLabelSets: number
  readonly authzPolicyInfoLogging: boolean
  readonly logFormat: LogFormat
  /** The one in force. */
  readonly logFilter: string
  /** XDS_ON_DEMAND: what is missing has to be asked for. */
  readonly onDemand: boolean
  /** Whether there is a DNS proxy to ask for names. */
  readonly dns: boolean
  /** Folder of Node's compile cache, where there is one. */
  readonly compileCache: string | undefined
  /** One number: bytes of log that the main thread has been sent and has not written. */
  readonly logPending: Int32Array<SharedArrayBuffer>
}

/** A workload as a worker thread serves it; number and descriptors are the main thread's, which keeps them open. */
export interface ThreadWorkload {
  readonly workload: number
  readonly info: WorkloadInfo
  /** Descriptor of its network namespace; undefined: the process's own. */
  readonly namespace: number | undefined
  /** This thread's sockets, in the order of `capturePorts` or `hbonePorts`. */
  readonly listeners: readonly { readonly fd: number; readonly transparent: boolean }[]
  readonly hboneOnly: boolean
  readonly counts: ConnectionCounts
}

/** What the main thread asks of a worker. */
export interface WorkerApi {
  /** Changes of the mesh, by `encodeChanges`. */
  mesh(changes: Uint8Array): void
  /** A certificate that has become available. */
  svid(svid: PackedSvid): void
  forget(id: SpiffeId): void
  /** The whole filter in force. */
  logFilter(filter: string): void
  /** Answered when its listeners accept. */
  serve(workload: ThreadWorkload): void
  /** Answered when the last connection has ended. */
  drain(workload: number): void
  /** Ends everything at once. Answered when none of its descriptors are used any more. */
  close(workload: number): void
  connections(): readonly LiveConnection[]
  workloadConnections(workload: number): readonly TrackedConnection[]
  /** Since the last one. */
  report(): TrafficReport
  /** Records what is still open as drained. Answered when the last line has been posted. */
  finish(): TrafficReport
}

/** What a worker asks of the main thread. */
export interface MainApi {
  /** Loaded, and listening to calls. */
  ready(): void
  /** Lines of log, each with its end. */
  log(lines: string): void
  /** The certificate of an identity; later ones come unasked. */
  svid(id: SpiffeId): PackedSvid
  /** XDS_ON_DEMAND: answered when what there is has been sent as changes of the mesh. */
  demand(name: string): void
  /** A name, as the DNS proxy of a workload knows it. */
  lookup(workload: number, name: string): readonly string[]
  /** For the metrics: a workload (uid) has a connection to a workload that is reached by hostname. */
  hostnameUsed(source: string, hostname: string): void
}
