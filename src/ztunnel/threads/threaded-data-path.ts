import { getCompileCacheDir } from 'node:module'
import type { SpiffeId, SvidManager } from '../../identity/index.ts'
import type { LiveConnection, Logger, TrafficReport } from '../../telemetry/index.ts'
import type { Config } from '../config/config.ts'
import type { DataPath, ServedProxy, ServedWorkload } from '../data-path.ts'
import { errorText, ProxyError } from '../errors.ts'
import type { SharedDependencies } from '../proxy/workload-proxy.ts'
import type { ThreadData, ThreadWorkload } from './api.ts'
import { ThreadGone } from './channel.ts'
import { DataWorker } from './data-worker.ts'
import { logWritten } from './log-relay.ts'
import { type FeedReceiver, MeshFeed } from './mesh-feed.ts'
import { SvidFeed, type SvidReceiver } from './svid-feed.ts'
import { ThreadedProxy } from './threaded-proxy.ts'
import { type StartedWorker, WorkerSlot } from './worker-slot.ts'

export interface ThreadedDataPathOptions {
  readonly config: Config
  readonly shared: SharedDependencies
  readonly svids: SvidManager
  readonly logger: Logger
  readonly threads: number
  /** What the threads run; default the data path. */
  readonly entry?: URL
}

/** How much of the metrics a thread that ends without a word may take with it. Milliseconds. */
const REPORT_INTERVAL_MS = 5000

/** For how long a thread that does not answer is waited for: the others' part is of use without it. */
const ANSWER_WITHIN_MS = 1000

/**
 * The data path spread over worker threads. Each has its own listeners, HBONE pools, counters and copy of the mesh;
 * this thread keeps what there is one of, and sends on what changes. Nothing that a connection needs is asked for here
 * but the first certificate of an identity.
 */
export class ThreadedDataPath implements DataPath {
  readonly #options: ThreadedDataPathOptions
  readonly #feed: MeshFeed
  readonly #svids: SvidFeed
  readonly #slots: readonly WorkerSlot[]
  readonly #proxies = new Map<number, ThreadedProxy>()
  readonly #timer: NodeJS.Timeout
  #lastNumber = 0

  private constructor(options: ThreadedDataPathOptions) {
    this.#options = options
    const { shared, svids, logger, threads } = options
    this.#feed = new MeshFeed(shared.mesh)
    this.#svids = new SvidFeed(svids)
    this.#slots = Array.from({ length: threads }, (_, thread) => this.#createSlot(thread))
    logger.onFilter((filter) => {
      for (const { worker } of this.#slots) worker?.channel.tell('logFilter', filter)
    })
    this.#timer = setInterval(() => void this.collect(), REPORT_INTERVAL_MS).unref()
  }

  /** Resolves when all threads run. Throws ProxyError `configuration` when they cannot. */
  static async start(options: ThreadedDataPathOptions): Promise<ThreadedDataPath> {
    const path = new ThreadedDataPath(options)
    try {
      await Promise.all(path.#slots.map((slot) => slot.started()))
      return path
    } catch (error) {
      await path.close()
      const why = error instanceof ThreadGone ? (error.cause ?? error) : error
      const message = `the worker threads cannot be started: ${errorText(why)}; ZTUNNEL_WORKER_THREADS=1 does without`
      throw new ProxyError('configuration', message, { cause: error })
    }
  }

  serve(served: ServedWorkload): ServedProxy {
    const { config, shared } = this.#options
    const number = ++this.#lastNumber
    const proxy = new ThreadedProxy({
      number,
      served,
      shared,
      clusterId: config.clusterId,
      packetMark: config.packetMark,
      slots: this.#slots,
      onClosed: () => this.#proxies.delete(number),
    })
    this.#proxies.set(number, proxy)
    return proxy
  }

  forget(id: SpiffeId): void {
    this.#svids.forget(id)
  }

  async connections(): Promise<readonly LiveConnection[]> {
    const all = await this.#ofEach(({ channel }) => channel.call('connections'))
    return all.flat().toSorted((a, b) => b.ageMs - a.ageMs)
  }

  async collect(): Promise<void> {
    await this.#ofEach((worker) => this.#absorb(worker, worker.channel.call('report')))
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#ofEach((worker) => this.#absorb(worker, worker.channel.call('finish')))
    this.#feed.close()
    this.#svids.close()
    await Promise.all(this.#slots.map((slot) => slot.close()))
  }

  /** What each thread answers in time. */
  async #ofEach<T>(call: (worker: DataWorker) => Promise<T>): Promise<readonly T[]> {
    const answers = this.#slots.map(async ({ worker }): Promise<readonly T[]> => {
      if (worker === undefined) return []
      const { promise: late, resolve } = Promise.withResolvers<readonly T[]>()
      const timer = setTimeout(() => resolve([]), ANSWER_WITHIN_MS)
      const answer = call(worker).then(
        (value) => [value],
        () => [],
      )
      return Promise.race([answer, late]).finally(() => clearTimeout(timer))
    })
    return (await Promise.all(answers)).flat()
  }

  /** A report that comes late counts as well. */
  async #absorb({ thread }: DataWorker, report: Promise<TrafficReport>): Promise<void> {
    this.#options.shared.metrics.absorb(thread, await report)
  }

  #createSlot(thread: number): WorkerSlot {
    return new WorkerSlot({
      thread,
      start: (onExit) => this.#startWorker(thread, onExit),
      workloads: () => this.#resumed(thread),
      onLost: () => this.#lost(thread),
      log: this.#options.logger.scope('threads'),
    })
  }

  #startWorker(thread: number, onExit: (error: Error | undefined) => void): StartedWorker {
    const { logger, entry = DATA_THREAD } = this.#options
    const data = this.#threadData(thread)
    const receiver: SvidReceiver = {
      svid: (packed) => worker.channel.tell('svid', packed),
      forget: (id) => worker.channel.tell('forget', id),
    }
    const onMesh: FeedReceiver = (changes) => worker.channel.tell('mesh', changes)
    const worker = new DataWorker({
      entry,
      data,
      answers: {
        log: (lines) => {
          logger.relay(lines)
          logWritten(data.logPending, lines)
        },
        svid: (id) => this.#svids.get(receiver, id),
        demand: async (name) => this.#options.shared.demand?.(name),
        lookup: (workload, name) => this.#lookup(workload, name),
        hostnameUsed: (source, hostname) => this.#hostnameUsed(source, hostname),
      },
      onExit: (error) => {
        this.#feed.remove(onMesh)
        this.#svids.remove(receiver)
        onExit(error)
      },
    })
    const ready = worker.ready.then(() => this.#feed.add(onMesh))
    return { worker, ready }
  }

  #threadData(thread: number): ThreadData {
    const { config, logger, shared } = this.#options
    return {
      thread,
      settings: shared.settings,
      clusterId: config.clusterId,
      nodeName: config.nodeName,
      packetMark: config.packetMark,
      metricsMaxLabelSets: config.metricsMaxLabelSets,
      authzPolicyInfoLogging: config.authzPolicyInfoLogging,
      logFormat: config.logFormat,
      // Of a thread that takes the place of another, what was changed since the start.
      logFilter: logger.filter(),
      onDemand: shared.demand !== undefined,
      dns: shared.dns !== undefined,
      compileCache: getCompileCacheDir(),
      logPending: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
    }
  }

  *#resumed(thread: number): Iterable<ThreadWorkload> {
    for (const proxy of this.#proxies.values()) {
      const workload = proxy.resume(thread)
      if (workload !== undefined) yield workload
    }
  }

  #lost(thread: number): void {
    this.#options.shared.metrics.threadLost(thread)
    for (const proxy of this.#proxies.values()) proxy.threadLost(thread)
  }

  async #lookup(workload: number, name: string): Promise<readonly string[]> {
    return this.#proxies.get(workload)?.lookup(name) ?? []
  }

  #hostnameUsed(uid: string, hostname: string): void {
    const { mesh, onHostnameUsed } = this.#options.shared
    const source = mesh.workload(uid)
    if (source !== undefined) onHostnameUsed?.(source, hostname)
  }
}

/** As it is in a checkout, or compiled. */
const DATA_THREAD = new URL(
  import.meta.url.endsWith('.ts') ? './thread-main.ts' : './thread-main.js',
  import.meta.url,
)
