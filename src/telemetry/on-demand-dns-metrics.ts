import type { Workload } from '../mesh/model.ts'
import { workloadPrincipal } from './connection-info.ts'
import { Counter, type OpenMetricsContentType, type Registry } from './prometheus.ts'

/** Told of each connection to a workload that has a hostname in place of an address. */
export type OnDemandDnsMetrics = (source: Workload, hostname: string) => void

/** Pairs of source and hostname that are counted each by itself; those beyond it are counted as `other`. */
const MAX_PAIRS = 1000

/** Registers `istio_on_demand_dns` (wire/ztunnel 14.1). */
export function registerOnDemandDns(registry: Registry<OpenMetricsContentType>): OnDemandDnsMetrics {
  const counter = new Counter({
    name: 'istio_on_demand_dns_total',
    help: 'Connections to workloads that are reached by a hostname, whether or not it was cached (unstable).',
    labelNames: [...Object.keys(sourceLabels(undefined)), 'hostname'],
    registers: [registry],
  })
  const pairs = new Set<string>()
  return (source, hostname) => {
    const pair = `${source.namespace}/${source.workloadName} ${hostname}`
    if (pairs.size < MAX_PAIRS) pairs.add(pair)
    counter.inc(pairs.has(pair) ? { ...sourceLabels(source), hostname } : OTHER)
  }
}

function sourceLabels(source: Workload | undefined): Record<string, string> {
  return {
    source_workload: source?.workloadName || 'unknown',
    source_canonical_service: source?.canonicalName || 'unknown',
    source_canonical_revision: source?.canonicalRevision || 'unknown',
    source_workload_namespace: source?.namespace || 'unknown',
    source_principal: source === undefined ? 'unknown' : workloadPrincipal(source),
    source_app: source?.canonicalName || 'unknown',
    source_version: source?.canonicalRevision || 'unknown',
    source_cluster: source?.clusterId || 'unknown',
  }
}

const OTHER = Object.fromEntries(
  [...Object.keys(sourceLabels(undefined)), 'hostname'].map((name) => [name, 'other']),
)
