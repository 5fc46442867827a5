import type { ScopedLogger } from '../../telemetry/index.ts'
import { errorText } from '../errors.ts'
import type { ThreadWorkload } from './api.ts'
import { ThreadGone } from './channel.ts'
import type { DataWorker } from './data-worker.ts'

/** A thread, and when it can serve. */
export interface StartedWorker {
  readonly worker: DataWorker
  readonly ready: Promise<void>
}

export interface WorkerSlotOptions {
  readonly thread: number
  /** Starts a thread; `onExit` must be called when it has ended. Resolves when it knows the mesh. */
  readonly start: (onExit: (error: Error | undefined) => void) => StartedWorker
  /** What a thread serves that takes the place of another. */
  readonly workloads: () => Iterable<ThreadWorkload>
  /** A thread has ended that should not have. */
  readonly onLost: () => void
  readonly log: ScopedLogger
}

/** First and longest pause before a thread is replaced that has ended; the first one only for one that lived long. */
const RESTART_MIN_MS = 10
const RESTART_MAX_MS = 10_000

/** A thread that ran for so long did not end by what it was started with. Milliseconds. */
const STABLE_MS = 60_000

/**
 * The place of one worker thread. There is always one in it, or one about to be: what was served goes on to be served
 * by the next, on the same sockets, on which connections wait meanwhile.
 */
export class WorkerSlot {
  readonly thread: number
  readonly #options: WorkerSlotOptions
  #worker: DataWorker | undefined
  #ready: Promise<DataWorker>
  #timer: NodeJS.Timeout | undefined
  #pauseMs = RESTART_MIN_MS
  #closed = false
  /** Resolves when the next thread is being started. */
  #replaced = Promise.withResolvers<void>()

  constructor(options: WorkerSlotOptions) {
    this.#options = options
    this.thread = options.thread
    this.#ready = this.#start()
  }

  /** The thread that is there now, if there is one. */
  get worker(): DataWorker | undefined {
    return this.#worker
  }

  /** Rejects when the first thread could not be started. */
  async started(): Promise<void> {
    await this.#ready
  }

  /** Resolves when a thread of this place accepts the workload's connections; rejects with why it cannot. */
  async serve(workload: ThreadWorkload, wanted: () => boolean): Promise<void> {
    for (;;) {
      const ready = this.#ready
      try {
        const worker = await ready
        // Stopped while the thread was not ready.
        if (!wanted()) return
        return await worker.serve(workload)
      } catch (error) {
        if (this.#closed || !wanted()) return
        if (ready === this.#ready && !(error instanceof ThreadGone)) throw error
        if (ready === this.#ready) await this.#replaced.promise
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#replaced.resolve()
    await this.#worker?.terminate()
  }

  async #start(): Promise<DataWorker> {
    const startedAt = performance.now()
    const { worker, ready } = this.#options.start((error) => this.#onExit(startedAt, error))
    this.#worker = worker
    await ready
    return worker
  }

  #onExit(startedAt: number, error: Error | undefined): void {
    this.#worker = undefined
    if (this.#closed) return
    const { onLost, log, thread } = this.#options
    if (performance.now() - startedAt >= STABLE_MS) this.#pauseMs = RESTART_MIN_MS
    const pause = this.#pauseMs
    this.#pauseMs = Math.min(pause * 10, RESTART_MAX_MS)
    log.error('a worker thread has ended, its connections with it; it is replaced', {
      thread,
      error: error === undefined ? 'no reason is known' : errorText(error),
      stack: error?.stack,
      retryInMs: pause,
    })
    onLost()
    this.#timer = setTimeout(() => void this.#replace(), pause)
  }

  async #replace(): Promise<void> {
    const { workloads, log, thread } = this.#options
    this.#ready = this.#start()
    this.#replaced.resolve()
    this.#replaced = Promise.withResolvers()
    try {
      const worker = await this.#ready
      await Promise.all(Iterator.from(workloads()).map((workload) => worker.serve(workload)))
      log.info('worker thread replaced', { thread })
    } catch (error) {
      if (this.#closed || error instanceof ThreadGone) return
      log.error('a new worker thread cannot serve', { thread, error: errorText(error) })
      // Its end makes place for another try.
      await this.#worker?.terminate()
    }
  }
}
