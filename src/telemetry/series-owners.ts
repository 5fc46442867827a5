/** The workloads for which a label set counts, at one end. */
interface End {
  /** Uids, as far as the mesh still has them. */
  readonly uids: Set<string>
  /** Of these, those that nobody has been told of; undefined where nobody asks. */
  untold: string[] | undefined
  /** When the last of them left the mesh. */
  lostAt: number | undefined
}

/**
 * Knows for which workloads each label set counts, and so which label sets
 * nobody will count in any more. Replicas share their labels: a set outlives
 * one pod and goes with the last.
 */
export class SeriesOwners<Series extends object> {
  readonly #ends = new Map<Series, readonly [source: End, destination: End]>()
  readonly #byUid = new Map<string, Set<End>>()
  readonly #reporting: boolean

  /** @param reporting whether `untold` is asked for. */
  constructor(reporting = false) {
    this.#reporting = reporting
  }

  /** Notes a connection's workloads; undefined for an end that is none. */
  note(series: Series, source: string | undefined, destination: string | undefined): void {
    const ends = this.#ends.get(series) ?? [this.#newEnd(), this.#newEnd()]
    this.#ends.set(series, ends)
    this.#add(ends[0], source)
    this.#add(ends[1], destination)
  }

  /** A workload has left the mesh, at `now` milliseconds. */
  workloadRemoved(uid: string, now: number): void {
    for (const end of this.#byUid.get(uid) ?? []) {
      end.uids.delete(uid)
      if (end.uids.size === 0) end.lostAt = now
    }
    this.#byUid.delete(uid)
  }

  /** Whether one end has been without any workload since `time` or longer. */
  lostSince(series: Series, time: number): boolean {
    const ends = this.#ends.get(series) ?? []
    return ends.some(({ lostAt }) => lostAt !== undefined && lostAt <= time)
  }

  /** The workloads that came to count for a label set since this was last asked. */
  untold(series: Series): { readonly sources: readonly string[]; readonly destinations: readonly string[] } {
    const [source, destination] = this.#ends.get(series) ?? []
    return { sources: takeUntold(source), destinations: takeUntold(destination) }
  }

  forget(series: Series): void {
    for (const end of this.#ends.get(series) ?? []) {
      for (const uid of end.uids) {
        const all = this.#byUid.get(uid)
        all?.delete(end)
        if (all?.size === 0) this.#byUid.delete(uid)
      }
    }
    this.#ends.delete(series)
  }

  #add(end: End, uid: string | undefined): void {
    if (uid === undefined || end.uids.has(uid)) return
    end.uids.add(uid)
    end.untold?.push(uid)
    end.lostAt = undefined
    const all = this.#byUid.get(uid) ?? new Set()
    all.add(end)
    this.#byUid.set(uid, all)
  }

  #newEnd(): End {
    return { uids: new Set(), untold: this.#reporting ? [] : undefined, lostAt: undefined }
  }
}

function takeUntold(end: End | undefined): readonly string[] {
  return end?.untold?.splice(0) ?? []
}
