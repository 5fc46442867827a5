import { Worker } from 'node:worker_threads'
import type { MainApi, ThreadData, ThreadWorkload, WorkerApi } from './api.ts'
import { type Answers, Channel, ThreadGone } from './channel.ts'

export interface DataWorkerOptions {
  /** The module that the thread runs. */
  readonly entry: URL
  readonly data: ThreadData
  readonly answers: Omit<Answers<MainApi>, 'ready'>
  /** Called once, when the thread has ended, whyever. */
  readonly onExit: (error: Error | undefined) => void
}

/** A thread that has not begun by then will not. Milliseconds. */
const BEGIN_WITHIN_MS = 10_000

/** One worker thread of the data path, as the main thread sees it. Replaced when it ends. */
export class DataWorker {
  readonly thread: number
  readonly channel: Channel<WorkerApi, MainApi>
  /** Rejects with ThreadGone when the thread ends before. */
  readonly ready: Promise<void>
  readonly #worker: Worker
  /** What it serves, by number: each is asked for once. */
  readonly #serving = new Map<number, Promise<void>>()

  constructor({ entry, data, answers, onExit }: DataWorkerOptions) {
    this.thread = data.thread
    const ready = Promise.withResolvers<void>()
    this.ready = ready.promise
    // Where nobody waits for it, its end is told by `onExit`.
    this.ready.catch(() => {})
    this.#worker = new Worker(entry, { workerData: data, name: `data-${data.thread}` })
    this.channel = new Channel<WorkerApi, MainApi>(this.#worker, {
      ...answers,
      ready: () => ready.resolve(),
    })
    let failure: Error | undefined
    this.#worker.on('error', (error) => {
      failure = error instanceof Error ? error : new Error(String(error))
    })
    this.#worker.on('exit', () => {
      this.channel.gone(failure)
      ready.reject(new ThreadGone({ cause: failure }))
      onExit(failure)
    })
  }

  /** Resolves when it accepts the workload's connections. */
  serve(workload: ThreadWorkload): Promise<void> {
    const known = this.#serving.get(workload.workload)
    if (known !== undefined) return known
    const serving = this.channel.call('serve', workload)
    this.#serving.set(workload.workload, serving)
    return serving
  }

  /** Resolves when it uses nothing of the workload any more. */
  async close(workload: number): Promise<void> {
    if (!this.#serving.delete(workload)) return
    // A thread that has ended uses nothing.
    await this.channel.call('close', workload).catch(() => {})
  }

  /**
   * Ends the thread, once it has begun: one that is stopped in the middle of loading a native module takes the process
   * with it (a fatal error of N-API).
   */
  async terminate(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, BEGIN_WITHIN_MS)
    await Promise.race([this.ready.catch(() => {}), late])
    clearTimeout(timer)
    await this.#worker.terminate()
  }
}
