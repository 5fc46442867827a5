import { type Clock, systemClock } from './clock.ts'
import type { ByteCounts, ConnectionInfo, Direction, ResponseFlag } from './connection-info.ts'
import { SeriesCache } from './series-cache.ts'
import { SeriesOwners } from './series-owners.ts'
import { overflowLabels, TrafficLabeller, type TrafficLabels } from './traffic-labels.ts'

export interface TrafficMetricsOptions {
  readonly clock?: Clock
  /** Label sets kept; default 2,000. */
  readonly maxLabelSets?: number
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
interface Series extends TrafficLabels {
  opened: number
  readonly closed: Map<ResponseFlag, number>
  sent: number
  received: number
  readonly live: Set<LiveTraffic>
  lastActive: number
}

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
  readonly #owners = new SeriesOwners<Series>()
  readonly #sockets: Record<Direction, number> = { inbound: 0, outbound: 0 }
  #folded = 0
  #evicted = 0
  #nextEviction = 0

  constructor(options: TrafficMetricsOptions = {}) {
    this.#clock = options.clock ?? systemClock
    this.#maxLabelSets = options.maxLabelSets ?? DEFAULT_MAX_LABEL_SETS
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

  #seriesOf(info: ConnectionInfo): Series {
    const known = this.#known.get(info)
    if (known !== undefined) return this.#noted(known, info)
    const labels = this.#labeller.labels(info)
    const key = labels.head + labels.tail
    let series = this.#series.get(key)
    if (series === undefined) {
      if (this.#series.size >= this.#maxLabelSets) this.#evictIdle()
      if (this.#series.size < this.#maxLabelSets) series = this.#add(this.#series, key, labels)
    }
    if (series !== undefined) {
      this.#known.set(info, series)
      return this.#noted(series, info)
    }
    this.#folded += 1
    const overflow = overflowLabels(info)
    const overflowKey = overflow.head + overflow.tail
    return this.#overflow.get(overflowKey) ?? this.#add(this.#overflow, overflowKey, overflow)
  }

  #noted(series: Series, { source, destination }: ConnectionInfo): Series {
    this.#owners.note(series, source.workload?.uid, destination.workload?.uid)
    return series
  }

  #add(map: Map<string, Series>, key: string, { head, tail }: TrafficLabels): Series {
    const lastActive = this.#clock.monotonic()
    const series = {
      head,
      tail,
      opened: 0,
      closed: new Map(),
      sent: 0,
      received: 0,
      live: new Set<LiveTraffic>(),
      lastActive,
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
      if (series.live.size === 0 && now - series.lastActive >= IDLE_EVICTION_MS) this.#drop(key, series)
    }
  }

  #dropRetired(): void {
    const since = this.#clock.monotonic() - RETIRED_MS
    for (const [key, series] of this.#series) {
      if (series.live.size === 0 && this.#owners.lostSince(series, since)) this.#drop(key, series)
    }
  }

  #drop(key: string, series: Series): void {
    this.#series.delete(key)
    this.#known.clear()
    this.#owners.forget(series)
    this.#evicted += 1
  }

  #ownFamilies(): string {
    const { outbound, inbound } = this.#sockets
    return [
      '# HELP istio_tcp_sockets_open Accepted sockets that are open now (unstable).',
      '# TYPE istio_tcp_sockets_open gauge',
      `istio_tcp_sockets_open{reporter="source"} ${outbound}`,
      `istio_tcp_sockets_open{reporter="destination"} ${inbound}`,
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
    series.closed.set(flag, (series.closed.get(flag) ?? 0) + 1)
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
