import { type AccessRecord, parseAccessRecord } from './access-record.ts'
import { parseRequestRecord, type RequestRecord } from './request-record.ts'
import { parseVerdictRecord, type VerdictRecord } from './verdict-record.ts'

/** The access logs of all proxies of a lab, waypoints' requests and verdicts, in the order in which they were read. */
export class AccessJournal {
  readonly #records: AccessRecord[] = []
  readonly #verdicts: VerdictRecord[] = []
  readonly #requests: RequestRecord[] = []
  readonly #watchers = new Set<(record: AccessRecord | RequestRecord) => void>()

  /** Takes one line of a proxy's log; lines that tell of no connection are skipped. */
  read(proxy: string, line: string): void {
    const verdict = parseVerdictRecord(proxy, line)
    if (verdict !== undefined) this.#verdicts.push(verdict)
    const request = parseRequestRecord(proxy, line)
    if (request !== undefined) {
      this.#requests.push(request)
      for (const watcher of this.#watchers) watcher(request)
    }
    const record = parseAccessRecord(proxy, line)
    if (record !== undefined) this.add(record)
  }

  /** Takes what another kind of proxy said about a connection. */
  add(record: AccessRecord): void {
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

  /** Requests so far, of all waypoints. */
  get requests(): readonly RequestRecord[] {
    return this.#requests
  }

  /** Verdicts so far, of all proxies. */
  get verdicts(): number {
    return this.#verdicts.length
  }

  /**
   * The verdicts on a connection, from a former count of `verdicts` on: those on earlier streams of the same tunnel
   * have the same source. Complete once the access log has the connection's end.
   */
  verdictsOf(
    { proxy, source }: Pick<AccessRecord, 'proxy' | 'source'>,
    position: number,
  ): readonly VerdictRecord[] {
    return this.#verdicts
      .slice(position)
      .filter((verdict) => verdict.proxy === proxy && verdict.source === source)
  }

  /** Told of every record from now on; returns what ends it. */
  watch(watcher: (record: AccessRecord | RequestRecord) => void): () => void {
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
