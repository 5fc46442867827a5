import type { RequestRecord } from './http-metrics.ts'
import { overflowEnds, type TrafficLabeller } from './traffic-labels.ts'

/**
 * The labels of a request as OpenMetrics text, in Istio's order: those of its
 * two ends, then what became of it. `other` stands for ends beyond the budget.
 */
export function requestLabels(
  { info, protocol, status, grpcStatus, flags }: RequestRecord,
  ends: TrafficLabeller | 'other',
): string {
  const text = ends === 'other' ? overflowEnds(info) : ends.ends(info)
  const grpc = grpcStatus === undefined ? '' : `,grpc_response_status="${boundedGrpcStatus(grpcStatus)}"`
  return (
    `${text},request_protocol="${protocol}",response_code="${boundedStatus(status)}"${grpc}` +
    `,response_flags="${flags}",connection_security_policy="${info.secure ? 'mutual_tls' : 'unknown'}"`
  )
}

/** An application may make up any number; those of no class are one. */
function boundedStatus(status: number): string {
  return status === 0 || (status >= 100 && status <= 599) ? String(status) : 'other'
}

/** Codes end at 16 (gRPC, statuscodes.md). */
function boundedGrpcStatus(code: number): string {
  return Number.isInteger(code) && code >= 0 && code <= 16 ? String(code) : 'other'
}
