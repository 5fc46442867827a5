import type { Clock } from './clock.ts'
import { type DnsMetrics, registerDns } from './dns-metrics.ts'
import { type OnDemandDnsMetrics, registerOnDemandDns } from './on-demand-dns-metrics.ts'
import { registerProcessMetrics } from './process-metrics.ts'
import { Counter, Gauge, type OpenMetricsContentType, Registry } from './prometheus.ts'
import { TrafficMetrics } from './traffic-metrics.ts'

/** How an xDS stream ended (wire/ztunnel 10.10). */
export type XdsTerminationReason = 'ConnectionError' | 'Error' | 'Reconnect' | 'Complete'

/** What the xDS client reports. */
export interface XdsMetrics {
  connectionTerminated(reason: XdsTerminationReason): void
  /** One response: its type URL, and the bytes of its resources' bodies. */
  message(url: string, bytes: number): void
}

/** What the manager of in-pod proxies reports. */
export interface WorkloadManagerMetrics {
  activeProxies(count: number): void
  pendingProxies(count: number): void
  proxyStarted(): void
  proxyStopped(): void
}

export interface MetricsOptions {
  /** The `tag` of istio_build: ISTIO_META_ISTIO_VERSION. Default `unknown`. */
  readonly istioVersion?: string | undefined
  readonly clock?: Clock
  /** See TrafficMetrics. */
  readonly maxLabelSets?: number
}

/** Writes OpenMetrics text: a counter's family is its name without `_total`. */
export type MetricsRegistry = Registry<OpenMetricsContentType>

/** All metrics of one proxy, and the text that Prometheus reads. */
export interface Metrics {
  readonly traffic: TrafficMetrics
  readonly xds: XdsMetrics
  readonly workloadManager: WorkloadManagerMetrics
  readonly onDemandDns: OnDemandDnsMetrics
  readonly dns: DnsMetrics
  /** For counters of other contexts; their HELP says `(unstable)` unless Istio documents them. */
  readonly registry: MetricsRegistry
  /** OpenMetrics 1.0 text. Families without samples are left out. */
  exposition(): Promise<string>
}

/** The type URLs that a server may name before the rest are counted together: it may send any text. */
const MAX_TYPE_URLS = 16

/** Makes the metrics of one process, with names and labels of wire/ztunnel 14. */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  const registry: MetricsRegistry = new Registry<OpenMetricsContentType>()
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  const traffic = new TrafficMetrics(options)
  registerBuild(registry, options.istioVersion)
  registerProcessMetrics(registry)
  return {
    traffic,
    xds: registerXds(registry),
    workloadManager: registerWorkloadManager(registry),
    onDemandDns: registerOnDemandDns(registry),
    dns: registerDns(registry),
    registry,
    exposition: async () => {
      const rest = dropEmptyFamilies(await registry.metrics())
      return `${traffic.exposition()}${rest}`
    },
  }
}

function registerBuild(registry: MetricsRegistry, istioVersion: string | undefined): void {
  const build = new Gauge({
    name: 'istio_build',
    help: 'Istio component build info',
    labelNames: ['component', 'tag'],
    registers: [registry],
  })
  build.set({ component: 'ztunnel', tag: istioVersion ?? 'unknown' }, 1)
}

function registerXds(registry: MetricsRegistry): XdsMetrics {
  const registers = [registry]
  const terminations = new Counter({
    name: 'istio_xds_connection_terminations_total',
    help: 'Ended connections to the xDS server, by reason (unstable).',
    labelNames: ['reason'],
    registers,
  })
  const messages = new Counter({
    name: 'istio_xds_message_total',
    help: 'Responses received from the xDS server (unstable).',
    labelNames: ['url'],
    registers,
  })
  const bytes = new Counter({
    name: 'istio_xds_message_bytes_total',
    help: 'Bytes of resources received from the xDS server (unstable).',
    labelNames: ['url'],
    registers,
  })
  const urls = new Set<string>()
  return {
    connectionTerminated: (reason) => terminations.inc({ reason }),
    message: (typeUrl, size) => {
      if (urls.size < MAX_TYPE_URLS) urls.add(typeUrl)
      const url = urls.has(typeUrl) ? typeUrl : 'other'
      messages.inc({ url })
      bytes.inc({ url }, size)
    },
  }
}

function registerWorkloadManager(registry: MetricsRegistry): WorkloadManagerMetrics {
  const registers = [registry]
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers })
  const counter = (name: string, help: string): Counter => new Counter({ name, help, registers })
  const active = gauge('workload_manager_active_proxy_count', 'In-pod proxies that run (unstable).')
  const pending = gauge(
    'workload_manager_pending_proxy_count',
    'In-pod proxies that wait to start (unstable).',
  )
  const started = counter('workload_manager_proxies_started_total', 'In-pod proxies started (unstable).')
  const stopped = counter('workload_manager_proxies_stopped_total', 'In-pod proxies stopped (unstable).')
  return {
    activeProxies: (count) => active.set(count),
    pendingProxies: (count) => pending.set(count),
    proxyStarted: () => started.inc(),
    proxyStopped: () => stopped.inc(),
  }
}

/** A family is its HELP, its TYPE and then its samples. */
function dropEmptyFamilies(text: string): string {
  const lines = text.split('\n')
  const isComment = (line: string | undefined): boolean => line?.startsWith('#') ?? false
  return lines
    .filter((line, index) => {
      if (line.startsWith('# HELP ')) return !isComment(lines[index + 2])
      if (line.startsWith('# TYPE ')) return !isComment(lines[index + 1])
      return true
    })
    .join('\n')
}
