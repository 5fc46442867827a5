import { type Clock, systemClock } from './clock.ts'
import { Histogram } from './histogram.ts'
import { requestLabels } from './request-labels.ts'
import { type LabelledEnds, TrafficLabeller } from './traffic-labels.ts'

/** What is counted of one request. */
export interface RequestRecord {
  readonly info: LabelledEnds
  readonly protocol: 'http' | 'grpc'
  /** 0 when the client went away before any answer. */
  readonly status: number
  /** Of a call of gRPC that was answered. */
  readonly grpcStatus: number | undefined
  /** As Envoy has them, joined by commas; `-` when nothing went wrong. */
  readonly flags: string
  readonly durationMs: number
  readonly requestBytes: number
  readonly responseBytes: number
}

export interface HttpMetricsOptions {
  readonly clock?: Clock
  /** Label sets kept. Default 500. */
  readonly maxLabelSets?: number
}

/**
 * A label set is three histograms and a counter, some 65 lines of 900 bytes:
 * 500 are 30 MB of text to whoever scrapes them all. What exceeds it is
 * counted under `other`.
 */
const DEFAULT_MAX_LABEL_SETS = 500

/** A label set without a request for so long may make room: longer than any usual scrape interval. */
const IDLE_EVICTION_MS = 15 * 60_000

/** Milliseconds, and bytes: those of Istio's Envoys, without the longest. */
const DURATION_BUCKETS = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000]
const BYTES_BUCKETS = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000]

interface Series {
  readonly labels: string
  requests: number
  readonly duration: Histogram
  readonly requestBytes: Histogram
  readonly responseBytes: Histogram
  lastActive: number
}

/** Istio's metrics of HTTP requests, with the labels of its waypoints. */
export class HttpMetrics {
  readonly #clock: Clock
  readonly #maxLabelSets: number
  readonly #labeller = new TrafficLabeller()
  readonly #series = new Map<string, Series>()
  readonly #overflow = new Map<string, Series>()
  #folded = 0

  constructor({ clock = systemClock, maxLabelSets = DEFAULT_MAX_LABEL_SETS }: HttpMetricsOptions = {}) {
    this.#clock = clock
    this.#maxLabelSets = maxLabelSets
  }

  record(request: RequestRecord): void {
    const series = this.#seriesOf(request)
    series.requests += 1
    series.duration.observe(request.durationMs)
    series.requestBytes.observe(request.requestBytes)
    series.responseBytes.observe(request.responseBytes)
    series.lastActive = this.#clock.monotonic()
  }

  get labelSets(): number {
    return this.#series.size
  }

  /** OpenMetrics text, each line with its end; nothing before the first request. */
  exposition(): string {
    const all = [...this.#series.values(), ...this.#overflow.values()]
    if (all.length === 0) return ''
    return (
      family('istio_requests', 'counter', 'HTTP requests.') +
      all.map(({ labels, requests }) => `istio_requests_total{${labels}} ${requests}\n`).join('') +
      histogram(
        'istio_request_duration_milliseconds',
        'From the request to the end of its response.',
        all,
        'duration',
      ) +
      histogram('istio_request_bytes', 'Bytes of request bodies.', all, 'requestBytes') +
      histogram('istio_response_bytes', 'Bytes of response bodies.', all, 'responseBytes') +
      family(
        'istio_http_folded_requests',
        'counter',
        'Requests counted under other because the label sets reached their limit (unstable).',
      ) +
      `istio_http_folded_requests_total ${this.#folded}\n`
    )
  }

  #seriesOf(request: RequestRecord): Series {
    const labels = requestLabels(request, this.#labeller)
    const known = this.#series.get(labels)
    if (known !== undefined) return known
    if (this.#series.size >= this.#maxLabelSets) this.#evictIdle()
    if (this.#series.size < this.#maxLabelSets) return add(this.#series, labels, this.#clock)
    this.#folded += 1
    const other = requestLabels(request, 'other')
    return this.#overflow.get(other) ?? add(this.#overflow, other, this.#clock)
  }

  #evictIdle(): void {
    const since = this.#clock.monotonic() - IDLE_EVICTION_MS
    for (const [labels, { lastActive }] of this.#series) if (lastActive <= since) this.#series.delete(labels)
  }
}

function add(map: Map<string, Series>, labels: string, clock: Clock): Series {
  const series = {
    labels,
    requests: 0,
    duration: new Histogram(DURATION_BUCKETS),
    requestBytes: new Histogram(BYTES_BUCKETS),
    responseBytes: new Histogram(BYTES_BUCKETS),
    lastActive: clock.monotonic(),
  }
  map.set(labels, series)
  return series
}

function histogram(
  name: string,
  help: string,
  all: readonly Series[],
  which: 'duration' | 'requestBytes' | 'responseBytes',
): string {
  return (
    family(name, 'histogram', help) + all.map((series) => series[which].lines(name, series.labels)).join('')
  )
}

function family(name: string, type: 'counter' | 'histogram', help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
}
