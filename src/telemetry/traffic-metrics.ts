import { type Clock, systemClock } from './clock.ts'
import type { ByteCounts, ConnectionInfo, Direction, ResponseFlag } from './connection-info.ts'
import { SeriesCache } from './series-cache.ts'
import { SeriesOwners } from './series-owners.ts'
import { overflowLabels, type TrafficKind, TrafficLabeller, type TrafficLabels } from './traffic-labels.ts'
import type { TrafficReport, TrafficRow } from './traffic-report.ts'

export interface TrafficMetricsOptions {
  readonly clock?: Clock
  /** Label sets kept; default 2,000. */
  readonly maxLabelSets?: number
  /** Whether `takeReport` is used. Default false. */
  readonly reporting?: boolean
}

/** The counters of one open connection. */
export interface OpenTraffic {
  /** Counts the end. Does nothing the second time. */
  close(flag: ResponseFlag): void
}

/**
 * Each label set is four to six lines of about 900 bytes: a scrape of 2,000
 * is below 10 MB and takes some milliseconds to write. What exceeds it is
 * counted under `other`.
 */
const DEFAULT_MAX_LABEL_SETS = 2000

/** A label set without a live connection for so long may make room: longer than any usual scrape interval. */
const IDLE_EVICTION_MS = 15 * 60_000

/**
 * How long the counts of workloads that are gone are still shown: several
 * scrapes, so that their last values are seen; Prometheus marks them stale then.
 */
const RETIRED_MS = 5 * 60_000

/** Looking for sets to evict walks all of them: not on each connection of a storm. */
const EVICTION_INTERVAL_MS = 60_000

/** All connections that have their labels in common. */
interface Series extends TrafficLabels, TrafficKind {
  opened: number
  readonly closed: Map<ResponseFlag, number>
  sent: number
  received: number
  readonly live: Set<LiveTraffic>
  /** Live connections of other threads, by thread. */
  readonly elsewhere: Map<number, number>
  lastActive: number
  reported: Reported
}

/** What the last report said of a series. */
type Reported = Pick<TrafficRow, 'opened' | 'sent' | 'received' | 'live'> & {
  readonly closed: ReadonlyMap<ResponseFlag, number>
}

const NOTHING_REPORTED: Reported = { opened: 0, sent: 0, received: 0, live: 0, closed: new Map() }

/**
 * Istio's TCP metrics (wire/ztunnel 14.1), made for many connections: label
 * text is built once for each pair of workloads, and bytes are taken from the
 * connections' own counts when somebody looks or when they end, never while
 * they move. Totals are exact at both moments.
 */
export class TrafficMetrics {
  readonly #clock: Clock
  readonly #maxLabelSets: number
  readonly #labeller = new TrafficLabeller()
  readonly #series = new Map<string, Series>()
  readonly #overflow = new Map<string, Series>()
  readonly #known = new SeriesCache<Series>()
  readonly #owners: SeriesOwners<Series>
  readonly #sockets: Record<Direction, number> = { inbound: 0, outbound: 0 }
  readonly #socketsElsewhere = new Map<number, Readonly<Record<Direction, number>>>()
  #folded = 0
  #foldedReported = 0
  #evicted = 0
  #nextEviction = 0

  constructor(options: TrafficMetricsOptions = {}) {
    this.#clock = options.clock ?? systemClock
    this.#maxLabelSets = options.maxLabelSets ?? DEFAULT_MAX_LABEL_SETS
    this.#owners = new SeriesOwners(options.reporting)
  }

  /** Counts a connection as opened; its bytes are read from `info.counts` from now on. */
  open(info: ConnectionInfo): OpenTraffic {
    const series = this.#seriesOf(info)
    const live = new LiveTraffic(series, info.counts, this.#clock)
    series.opened += 1
    series.live.add(live)
    return live
  }

  /**
   * A workload has left the mesh. What only it counted for goes after some
   * minutes, and after its last connection.
   */
  workloadRemoved(uid: string): void {
    this.#owners.workloadRemoved(uid, this.#clock.monotonic())
  }

  /** An accepted socket, whether or not it becomes a connection. */
  socketOpened(direction: Direction): void {
    this.#sockets[direction] += 1
  }

  socketClosed(direction: Direction): void {
    this.#sockets[direction] -= 1
  }

  /** What has been counted here since the last report. */
  takeReport(): TrafficReport {
    const rows = [
      ...reportRows(this.#series.values(), false, (series) => this.#owners.untold(series)),
      ...reportRows(this.#overflow.values(), true, () => NO_OWNERS),
    ]
    const folded = this.#folded - this.#foldedReported
    this.#foldedReported = this.#folded
    this.#dropRetired()
    return { rows, sockets: { ...this.#sockets }, folded }
  }

  /** Adds what another thread has counted. */
  absorb(thread: number, { rows, sockets, folded }: TrafficReport): void {
    this.#folded += folded
    this.#socketsElsewhere.set(thread, sockets)
    for (const row of rows) {
      const series = this.#seriesOfRow(row)
      series.opened += row.opened
      series.sent += row.sent
      series.received += row.received
      for (const [flag, count] of row.closed) addTo(series.closed, flag, count)
      series.elsewhere.set(thread, row.live)
      series.lastActive = this.#clock.monotonic()
      for (const uid of row.sources) this.#owners.note(series, uid, undefined)
      for (const uid of row.destinations) this.#owners.note(series, undefined, uid)
    }
  }

  /** A thread has ended without a last report: its connections have ended with it. */
  threadLost(thread: number): void {
    this.#socketsElsewhere.delete(thread)
    for (const series of [...this.#series.values(), ...this.#overflow.values()]) {
      const live = series.elsewhere.get(thread) ?? 0
      series.elsewhere.delete(thread)
      if (live > 0) addTo(series.closed, 'CONNECT', live)
    }
  }

  /** Label sets in memory, for tests and limits. */
  get labelSets(): number {
    return this.#series.size
  }

  /** OpenMetrics text of all families that have samples, each line with its end. */
  exposition(): string {
    this.#dropRetired()
    const all = [...this.#series.values(), ...this.#overflow.values()]
    for (const series of all) for (const live of series.live) live.settle()
    return FAMILIES.map((family) => renderFamily(family, all)).join('') + this.#ownFamilies()
  }

  #seriesOfRow(row: TrafficRow): Series {
    const key = row.head + row.tail
    const map = row.overflow ? this.#overflow : this.#series
    const known = map.get(key)
    if (known !== undefined) return known
    if (!row.overflow && this.#series.size >= this.#maxLabelSets) this.#evictIdle()
    if (row.overflow || this.#series.size < this.#maxLabelSets) return this.#add(map, key, row, row)
    this.#folded += row.opened
    return this.#overflowOf(row)
  }

  #overflowOf(kind: TrafficKind): Series {
    const labels = overflowLabels(kind)
    const key = labels.head + labels.tail
    return this.#overflow.get(key) ?? this.#add(this.#overflow, key, labels, kind)
  }

  #seriesOf(info: ConnectionInfo): Series {
    const known = this.#known.get(info)
    if (known !== undefined) return this.#noted(known, info)
    const labels = this.#labeller.labels(info)
    const key = labels.head + labels.tail
    let series = this.#series.get(key)
    if (series === undefined) {
      if (this.#series.size >= this.#maxLabelSets) this.#evictIdle()
      if (this.#series.size < this.#maxLabelSets) series = this.#add(this.#series, key, labels, info)
    }
    if (series !== undefined) {
      this.#known.set(info, series)
      return this.#noted(series, info)
    }
    this.#folded += 1
    return this.#overflowOf(info)
  }

  #noted(series: Series, { source, destination }: ConnectionInfo): Series {
    this.#owners.note(series, source.workload?.uid, destination.workload?.uid)
    return series
  }

  #add(
    map: Map<string, Series>,
    key: string,
    { head, tail }: TrafficLabels,
    { direction, secure, reporter }: TrafficKind,
  ): Series {
    const lastActive = this.#clock.monotonic()
    const series: Series = {
      head,
      tail,
      direction,
      secure,
      reporter,
      opened: 0,
      closed: new Map(),
      sent: 0,
      received: 0,
      live: new Set<LiveTraffic>(),
      elsewhere: new Map(),
      lastActive,
      reported: NOTHING_REPORTED,
    }
    map.set(key, series)
    return series
  }

  /** Sets that nothing counts in any more: pods that are gone, mostly. Prometheus marks them stale. */
  #evictIdle(): void {
    const now = this.#clock.monotonic()
    if (now < this.#nextEviction) return
    this.#nextEviction = now + EVICTION_INTERVAL_MS
    for (const [key, series] of this.#series) {
      if (!isLive(series) && now - series.lastActive >= IDLE_EVICTION_MS) this.#drop(key, series)
    }
  }

  #dropRetired(): void {
    const since = this.#clock.monotonic() - RETIRED_MS
    for (const [key, series] of this.#series) {
      if (!isLive(series) && this.#owners.lostSince(series, since)) this.#drop(key, series)
    }
  }

  #drop(key: string, series: Series): void {
    this.#series.delete(key)
    this.#known.clear()
    this.#owners.forget(series)
    this.#evicted += 1
  }

  #ownFamilies(): string {
    const all = [this.#sockets, ...this.#socketsElsewhere.values()]
    const open = (direction: Direction): number => all.reduce((sum, sockets) => sum + sockets[direction], 0)
    return [
      '# HELP istio_tcp_sockets_open Accepted sockets that are open now (unstable).',
      '# TYPE istio_tcp_sockets_open gauge',
      `istio_tcp_sockets_open{reporter="source"} ${open('outbound')}`,
      `istio_tcp_sockets_open{reporter="destination"} ${open('inbound')}`,
      '# HELP istio_tcp_label_sets Label sets that the TCP metrics hold now, without those named other (unstable).',
      '# TYPE istio_tcp_label_sets gauge',
      `istio_tcp_label_sets ${this.#series.size}`,
      '# HELP istio_tcp_folded_connections Connections counted under other because the label sets reached their limit (unstable).',
      '# TYPE istio_tcp_folded_connections counter',
      `istio_tcp_folded_connections_total ${this.#folded}`,
      '# HELP istio_tcp_evicted_label_sets Label sets removed: idle ones to make room, and those of workloads that are gone (unstable).',
      '# TYPE istio_tcp_evicted_label_sets counter',
      `istio_tcp_evicted_label_sets_total ${this.#evicted}`,
      '',
    ].join('\n')
  }
}

/** A live connection, and how much of its bytes its series has already. */
class LiveTraffic implements OpenTraffic {
  readonly #series: Series
  readonly #counts: ByteCounts
  readonly #clock: Clock
  #sent = 0
  #received = 0

  constructor(series: Series, counts: ByteCounts, clock: Clock) {
    this.#series = series
    this.#counts = counts
    this.#clock = clock
  }

  close(flag: ResponseFlag): void {
    const series = this.#series
    if (!series.live.delete(this)) return
    this.settle()
    addTo(series.closed, flag, 1)
    series.lastActive = this.#clock.monotonic()
  }

  /** Moves what it has carried since the last time into its series. */
  settle(): void {
    const { sent, received } = this.#counts
    this.#series.sent += sent - this.#sent
    this.#series.received += received - this.#received
    this.#sent = sent
    this.#received = received
  }
}

function isLive({ live, elsewhere }: Series): boolean {
  return live.size > 0 || elsewhere.values().some((count) => count > 0)
}

function addTo<Key>(counts: Map<Key, number>, key: Key, count: number): void {
  counts.set(key, (counts.get(key) ?? 0) + count)
}

const NO_OWNERS = { sources: [], destinations: [] }

/** What is new in some series, which is reported then. */
function* reportRows(
  all: Iterable<Series>,
  overflow: boolean,
  owners: (series: Series) => Pick<TrafficRow, 'sources' | 'destinations'>,
): Iterable<TrafficRow> {
  for (const series of all) {
    for (const live of series.live) live.settle()
    const { head, tail, direction, secure, reporter, opened, sent, received, reported } = series
    const closed = [...series.closed]
      .map(([flag, count]) => [flag, count - (reported.closed.get(flag) ?? 0)] as const)
      .filter(([, count]) => count > 0)
    const now: Reported = { opened, sent, received, live: series.live.size, closed: new Map(series.closed) }
    const row = {
      ...{ head, tail, direction, secure, reporter, overflow, closed, live: now.live },
      opened: opened - reported.opened,
      sent: sent - reported.sent,
      received: received - reported.received,
    }
    const moved = row.opened + row.sent + row.received + closed.length
    if (moved === 0 && now.live === reported.live) continue
    series.reported = now
    yield { ...row, ...owners(series) }
  }
}

interface Family {
  /** Without `_total`, as OpenMetrics names a counter's family. */
  readonly name: string
  readonly help: string
  readonly samples: (series: Series) => Iterable<readonly [ResponseFlag, number]>
}

const FAMILIES: readonly Family[] = [
  {
    name: 'istio_tcp_connections_opened',
    help: 'TCP connections opened.',
    samples: ({ opened }) => [['-', opened]],
  },
  {
    name: 'istio_tcp_connections_closed',
    help: 'TCP connections closed.',
    samples: ({ closed }) => closed,
  },
  {
    name: 'istio_tcp_connections_failed',
    help: 'TCP connections that did not end well (unstable).',
    samples: ({ closed }) => [...closed].filter(([flag]) => flag !== '-'),
  },
  // Named from the server's side for both reporters, unlike the access log.
  {
    name: 'istio_tcp_received_bytes',
    help: 'Bytes received from clients, over TCP connections.',
    samples: ({ sent }) => [['-', sent]],
  },
  {
    name: 'istio_tcp_sent_bytes',
    help: 'Bytes sent to clients, over TCP connections.',
    samples: ({ received }) => [['-', received]],
  },
]

function renderFamily({ name, help, samples }: Family, all: readonly Series[]): string {
  const lines: string[] = []
  for (const series of all) {
    for (const [flag, value] of samples(series)) {
      lines.push(`${name}_total{${series.head}${flag}${series.tail}} ${value}\n`)
    }
  }
  return lines.length === 0 ? '' : `# HELP ${name} ${help}\n# TYPE ${name} counter\n${lines.join('')}`
}
