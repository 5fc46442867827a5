import { Counter, Gauge, Histogram, Registry } from '../telemetry/prometheus.ts'
import { type ConnectedProxy, type DeltaServerMetrics, metricType } from '../xds/index.ts'

/** The metrics of a config server, by istiod's names. */
export interface ConfigServerMetrics {
  readonly xds: DeltaServerMetrics
  /** Prometheus text. */
  exposition(): Promise<string>
}

/** What is read when the metrics are. */
export interface MetricsSources {
  proxies(): readonly ConnectedProxy[]
}

export function createConfigServerMetrics(sources: MetricsSources): ConfigServerMetrics {
  const registry = new Registry()
  const registers = [registry]
  registerConnected(registry, sources)
  const pushes = new Counter({
    name: 'pilot_xds_pushes',
    help: 'xDS responses sent, by type.',
    labelNames: ['type'],
    registers,
  })
  const rejects = new Counter({
    name: 'pilot_total_xds_rejects',
    help: 'xDS responses that a proxy refused, at least in part, by type.',
    labelNames: ['type'],
    registers,
  })
  const pushTime = new Histogram({
    name: 'pilot_xds_push_time',
    help: 'Seconds to work out a response and to have the connection take it, by type.',
    labelNames: ['type'],
    buckets: [0.01, 0.1, 1, 3, 5, 10, 20, 30],
    registers,
  })
  const convergence = new Histogram({
    name: 'pilot_proxy_convergence_time',
    help: 'Seconds between a change of the configuration and a proxy having been sent all of it.',
    buckets: [0.1, 0.5, 1, 3, 5, 10, 20, 30],
    registers,
  })
  return {
    xds: {
      pushed(typeUrl, seconds) {
        pushes.inc({ type: metricType(typeUrl) })
        pushTime.observe({ type: metricType(typeUrl) }, seconds)
      },
      rejected: (typeUrl) => rejects.inc({ type: metricType(typeUrl) }),
      converged: (seconds) => convergence.observe(seconds),
    },
    exposition: () => registry.metrics(),
  }
}

function registerConnected(registry: Registry, { proxies }: MetricsSources): void {
  new Gauge({
    name: 'pilot_xds',
    help: 'Proxies with an open xDS stream, by their version.',
    labelNames: ['version'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { version } of proxies()) this.inc({ version: version === '' ? 'unknown' : version })
    },
  })
}
