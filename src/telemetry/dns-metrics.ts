import type { Workload } from '../mesh/model.ts'
import { Counter, Histogram, type OpenMetricsContentType, type Registry } from './prometheus.ts'

/** Which question it was, and whose. */
export interface DnsQuestionLabels {
  /** `a`, `aaaa`, `srv` …; one of few, never what a client made up. */
  readonly queryType: string
  readonly protocol: 'udp' | 'tcp'
  readonly source: Workload
}

/** What the DNS proxies report (wire/ztunnel 14.2). */
export interface DnsMetrics {
  /** A question, whoever answers it. */
  request(labels: DnsQuestionLabels): void
  /** A question that goes to the name servers. */
  upstreamRequest(labels: DnsQuestionLabels): void
  /** One that they did not answer, or only to say that they would not. A name that does not exist is an answer. */
  upstreamFailure(labels: DnsQuestionLabels): void
  /** How long they took, retries included. */
  upstreamDuration(labels: DnsQuestionLabels, seconds: number): void
}

const LABELS = [
  'request_query_type',
  'request_protocol',
  'source_canonical_service',
  'source_canonical_revision',
]

/** Seconds. */
const DURATION_BUCKETS = [0.0005, 0.001, 0.01, 0.1, 1, 5]

/** Registers the families of the DNS proxy. */
export function registerDns(registry: Registry<OpenMetricsContentType>): DnsMetrics {
  const common = { labelNames: LABELS, registers: [registry] }
  const requests = new Counter({
    name: 'istio_dns_requests_total',
    help: 'DNS questions of captured workloads (unstable).',
    ...common,
  })
  const upstreamRequests = new Counter({
    name: 'istio_dns_upstream_requests_total',
    help: 'DNS questions taken to the name servers (unstable).',
    ...common,
  })
  const failures = new Counter({
    name: 'istio_dns_upstream_failures_total',
    help: 'DNS questions that the name servers did not answer (unstable).',
    ...common,
  })
  const duration = new Histogram({
    name: 'istio_dns_upstream_request_duration_seconds',
    help: 'How long the name servers took for a DNS question (unstable).',
    buckets: DURATION_BUCKETS,
    ...common,
  })
  return {
    request: (labels) => requests.inc(labelValues(labels)),
    upstreamRequest: (labels) => upstreamRequests.inc(labelValues(labels)),
    upstreamFailure: (labels) => failures.inc(labelValues(labels)),
    upstreamDuration: (labels, seconds) => duration.observe(labelValues(labels), seconds),
  }
}

function labelValues({ queryType, protocol, source }: DnsQuestionLabels): Record<string, string> {
  return {
    request_query_type: queryType,
    request_protocol: protocol,
    source_canonical_service: source.canonicalName || 'unknown',
    source_canonical_revision: source.canonicalRevision || 'unknown',
  }
}
