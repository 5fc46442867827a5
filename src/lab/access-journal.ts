import { type AccessRecord, parseAccessRecord } from './access-record.ts'

/** The access logs of all proxies of a lab, in the order in which they were read. */
export class AccessJournal {
  readonly #records: AccessRecord[] = []
  readonly #watchers = new Set<(record: AccessRecord) => void>()

  /** Takes one line of a proxy's log; lines that are no access-log lines are skipped. */
  read(proxy: string, line: string): void {
    const record = parseAccessRecord(proxy, line)
    if (record === undefined) return
    this.#records.push(record)
    for (const watcher of this.#watchers) watcher(record)
  }

  get length(): number {
    return this.#records.length
  }

  /** The records from a former `length` on. */
  since(position: number): readonly AccessRecord[] {
    return this.#records.slice(position)
  }

  /** Told of every record from now on; returns what ends it. */
  watch(watcher: (record: AccessRecord) => void): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  /**
   * The records since `position` once `complete` holds for them, or whatever
   * has come within `timeoutMs`: what is missing then is the finding.
   */
  async gather(
    position: number,
    complete: (records: readonly AccessRecord[]) => boolean,
    timeoutMs: number,
  ): Promise<readonly AccessRecord[]> {
    if (complete(this.since(position))) return this.since(position)
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        clearTimeout(timer)
        stop()
        resolve()
      }
      const timer = setTimeout(finish, timeoutMs)
      const stop = this.watch(() => {
        if (complete(this.since(position))) finish()
      })
    })
    return this.since(position)
  }
}
