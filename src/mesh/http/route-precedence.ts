import type { RouteCandidate } from './route-candidate.ts'
import { compareRoutes } from './route-order.ts'

/**
 * Which of two candidates that match the same request comes first; negative
 * for `a`. The Gateway API's order: the more precise hostname; of a GRPCRoute
 * the longer service, then the longer method; of an HTTPRoute an exact path,
 * then the longer prefix, then a method; then more headers, then more query
 * parameters; then the older route, its name, and the earlier rule. Regular
 * expressions of paths, which it leaves open, come last and the longer first,
 * as at Istio.
 */
export function compareCandidates(a: RouteCandidate, b: RouteCandidate): number {
  return (
    hostnameRank(b) - hostnameRank(a) ||
    grpcServiceLength(b) - grpcServiceLength(a) ||
    grpcMethodLength(b) - grpcMethodLength(a) ||
    pathRank(b) - pathRank(a) ||
    pathLength(b) - pathLength(a) ||
    Number(b.match.method !== undefined) - Number(a.match.method !== undefined) ||
    b.match.headers.length - a.match.headers.length ||
    b.match.query.length - a.match.query.length ||
    compareRoutes(a.route, b.route) ||
    a.ruleIndex - b.ruleIndex
  )
}

const PATH_RANK = { exact: 2, prefix: 1, regex: 0 } as const
/** No hostname is as long (RFC 1035 section 2.3.4). Characters. */
const MAX_HOSTNAME = 256

/** Any whole hostname is more precise than any wildcard. */
function hostnameRank({ hostname }: RouteCandidate): number {
  if (hostname === undefined) return 0
  return hostname.startsWith('*') ? hostname.length : MAX_HOSTNAME + hostname.length
}

function grpcServiceLength({ match }: RouteCandidate): number {
  return match.grpc?.service ?? 0
}

function grpcMethodLength({ match }: RouteCandidate): number {
  return match.grpc?.method ?? 0
}

/** Of a GRPCRoute the lengths above say it all. */
function pathRank({ match }: RouteCandidate): number {
  return match.grpc === undefined ? PATH_RANK[match.path.kind] : 0
}

function pathLength({ match }: RouteCandidate): number {
  return match.grpc === undefined ? match.path.value.length : 0
}
