/** A caller that waits for it; a workload that will need it; a renewal. Served in this order, then first come first served. */
export type FetchPriority = 'realtime' | 'warmup' | 'background'

interface Job {
  priority: FetchPriority
  readonly run: () => Promise<void>
}

/** Runs at most so many jobs at once, the most urgent first. A job's name is unique while it waits. */
export class FetchQueue {
  readonly #maxConcurrent: number
  readonly #waiting: Readonly<Record<FetchPriority, Map<string, Job>>> = {
    realtime: new Map(),
    warmup: new Map(),
    background: new Map(),
  }
  #running = 0

  constructor(maxConcurrent: number) {
    this.#maxConcurrent = maxConcurrent
  }

  /** `run` must not reject. */
  add(name: string, priority: FetchPriority, run: () => Promise<void>): void {
    this.remove(name)
    this.#waiting[priority].set(name, { priority, run })
    this.#startNext()
  }

  /** Makes a waiting job at least this urgent; a running or unknown one is left alone. */
  raise(name: string, priority: FetchPriority): void {
    const job = this.#find(name)
    if (job === undefined || RANK[job.priority] <= RANK[priority]) return
    this.#waiting[job.priority].delete(name)
    job.priority = priority
    this.#waiting[priority].set(name, job)
  }

  /** Drops a waiting job; a running one is its owner's to abort. */
  remove(name: string): void {
    for (const priority of PRIORITIES) this.#waiting[priority].delete(name)
  }

  #find(name: string): Job | undefined {
    for (const priority of PRIORITIES) {
      const job = this.#waiting[priority].get(name)
      if (job !== undefined) return job
    }
    return undefined
  }

  #startNext(): void {
    while (this.#running < this.#maxConcurrent) {
      const job = this.#takeMostUrgent()
      if (job === undefined) return
      this.#running++
      void job.run().finally(() => {
        this.#running--
        this.#startNext()
      })
    }
  }

  #takeMostUrgent(): Job | undefined {
    for (const priority of PRIORITIES) {
      for (const [name, job] of this.#waiting[priority]) {
        this.#waiting[priority].delete(name)
        return job
      }
    }
    return undefined
  }
}

const PRIORITIES: readonly FetchPriority[] = ['realtime', 'warmup', 'background']
const RANK: Readonly<Record<FetchPriority, number>> = { realtime: 0, warmup: 1, background: 2 }
