import type { Traceparent } from '../hbone/index.ts'
import { formatAuthority } from '../hbone/index.ts'
import { headerValue, routeName } from '../mesh/http/index.ts'
import type { Verdict } from '../mesh/index.ts'
import { formatSocketAddress } from '../mesh/index.ts'
import type { ConnectionTelemetry, HttpMetrics, RequestLog } from '../telemetry/index.ts'
import { type Arrival, connectionInfo } from './arrival.ts'
import type { ForwardResult, HttpExchange } from './http/index.ts'
import type { HttpPlan } from './request-plan.ts'
import { type OpenRoute, upstreamHost } from './upstream.ts'

export interface RecordDependencies {
  readonly httpMetrics: HttpMetrics
  readonly requestLog: RequestLog
  readonly telemetry: ConnectionTelemetry
}

/** What became of a request, and by whose decision. */
export interface Outcome {
  readonly result: ForwardResult
  readonly verdict?: Verdict | undefined
  readonly trace?: Traceparent | undefined
  readonly plan?: HttpPlan | undefined
  /** Of the last try; undefined when there was none. */
  readonly route?: OpenRoute | undefined
  /** Of an answer of our own: `UH` no healthy upstream, `NR` no route. */
  readonly flag?: 'UH' | 'NR' | undefined
  readonly details?: string | undefined
}

/** Counts a request and writes its line. */
export function recordRequest(
  { httpMetrics, requestLog }: RecordDependencies,
  { head, version }: Pick<HttpExchange, 'head' | 'version'>,
  arrival: Arrival,
  { result, verdict, trace, plan, route, flag, details }: Outcome,
): void {
  const traceId = trace?.traceId
  const base = connectionInfo(arrival, route, traceId)
  const info = { ...base, steps: [...(plan?.steps ?? []), ...(base.steps ?? [])] }
  const flags = [...(flag === undefined ? [] : [flag]), ...result.flags].join(',') || '-'
  const { status, grpcStatus, durationMs, requestBytes, responseBytes, upstreamMs, tries } = result
  const grpc = headerValue(head.headers, 'content-type')?.startsWith('application/grpc') === true
  const counted = { status, grpcStatus, flags, durationMs, requestBytes, responseBytes }
  httpMetrics.record({ info, protocol: grpc ? 'grpc' : 'http', ...counted })
  const routed = plan?.routed
  requestLog.write({
    info,
    ...counted,
    method: head.method,
    path: head.path,
    protocol: version,
    authority: head.authority,
    details: details ?? result.detail ?? (route === undefined ? undefined : 'via_upstream'),
    upstreamMs,
    upstreamHost: route === undefined ? undefined : upstreamHost(route),
    requestId: headerValue(head.headers, 'x-request-id'),
    userAgent: headerValue(head.headers, 'user-agent'),
    routeName: routed?.route === undefined ? undefined : routeName(routed.route),
    rule: ruleName(routed),
    policy: verdict?.policy,
    tries,
    traceId,
  })
}

/** What never became a request: counted as connections are that end early, not as requests. */
export function recordRefusal(
  { telemetry }: RecordDependencies,
  status: number,
  reason: string,
  { request, client }: Arrival,
): void {
  telemetry.rejectedEarly({
    sourceAddress: formatSocketAddress(client.source),
    destinationAddress: formatSocketAddress(request.local),
    direction: 'inbound',
    error: `not HTTP as it should be: ${status} ${reason} (asked for ${formatAuthority(request.authority)})`,
  })
}

function ruleName(routed: HttpPlan['routed']): string | undefined {
  if (routed?.route === undefined || routed.rule === undefined) return undefined
  return routed.rule.name ?? String(routed.route.rules.indexOf(routed.rule))
}
