import type { AccessRecord } from './access-record.ts'
import type { Evidence, ObservedPath } from './observation.ts'
import type { RequestRecord } from './request-record.ts'
import type { WaypointExpectation } from './scenario.ts'

/** What went through a waypoint, as waypoint and proxies logged it. */
export interface ThroughWaypoint {
  /** Identity that the waypoint proved: to the client's proxy, to the application's, or both. */
  readonly identity: string | undefined
  /** Of the connection, in order; none where it is not HTTP. */
  readonly requests: readonly RequestRecord[]
  /** Requests, or one connection, by the pod that got them. */
  readonly backends: ReadonlyMap<string, number>
}

/** As {@link ObservedPath} for a connection that a waypoint takes: the client's proxy, the pod's if it had to send it there, the waypoint, the application's. */
export function pathThroughWaypoint(evidence: Evidence, expected: WaypointExpectation): ObservedPath {
  const { records, requests = [], arrivals = [] } = evidence
  const outbound = records.find(({ direction }) => direction === 'outbound')
  const inbound = records.filter(({ direction }) => direction === 'inbound')
  const tcp = inbound.find(({ proxy }) => proxy === expected.name)
  const front: RequestRecord | AccessRecord | undefined = requests[0] ?? tcp
  // Behind the waypoint it is another connection: of the node proxies only the one that sent this up has the client's.
  const sentUp = inbound.find((record) => record.proxy !== expected.name && !isFrom(record, expected))
  const arrival = [...arrivals, ...inbound].find((record) => isFrom(record, expected))
  const denied = requests.some(({ status, policy }) => status === 403 && policy !== undefined)
  const reached = denied ? undefined : arrival
  const hops = [outbound, sentUp, front, reached]
  return {
    verdict: denied ? 'denied' : evidence.report.ok ? 'allowed' : 'failed',
    policy: front?.policy,
    hops: hops.flatMap((hop) => (hop === undefined ? [] : [hop.proxy])),
    client: front?.sourceIdentity,
    // The line of a client that proved nothing names nobody; the connection behind the waypoint is as good as ever.
    server: denied
      ? outbound?.destinationIdentity
      : (front?.destinationIdentity ?? reached?.destinationIdentity),
    judgedBy: front?.proxy,
    waypoint: {
      identity: proven(outbound, sentUp, reached),
      requests,
      backends: count(requests.length > 0 ? requests : tcp === undefined ? [] : [tcp]),
    },
  }
}

/** What differs from what was expected of the waypoint itself. */
export function waypointProblems(
  { scenario, report }: Evidence,
  expected: WaypointExpectation,
  { identity, requests, backends }: ThroughWaypoint,
): readonly string[] {
  const problems: string[] = []
  const compare = (what: string, want: string | undefined, got: string | undefined): void => {
    if (want !== got) problems.push(`${what}: expected ${want ?? 'none'}, got ${got ?? 'none'}`)
  }
  // Nobody proved anything to, or was proved anything by, who came in plaintext and was refused.
  if (scenario.expected.server !== undefined && !sentUpByServer(scenario.expected.server, expected))
    compare('identity of the waypoint', expected.identity, identity)
  if (expected.status === undefined) return problems
  const { traffic } = scenario
  const asked = (traffic.kind === 'http' ? traffic.requests : undefined) ?? 1
  compare('requests at the waypoint', String(asked), String(requests.length))
  const statuses = report.statuses ?? []
  compare('status', String(expected.status), [...new Set(statuses)].join(', '))
  compare('route', expected.route, [...new Set(requests.map(routeOf))].join(', ') || undefined)
  if (scenario.expected.verdict === 'denied') {
    compare('body', 'RBAC: access denied', report.body)
    return problems
  }
  const strangers = [...backends.keys()].filter((backend) => !expected.backends.includes(backend))
  if (strangers.length > 0) problems.push(`backends: ${strangers.join(', ')} had no request to get`)
  const missed = expected.backends.filter((backend) => !backends.has(backend))
  if (asked > 1 && missed.length > 0) problems.push(`backends: ${missed.join(', ')} got none of ${asked}`)
  return problems
}

/** `HTTPRoute/bar-2/helloworld split` */
export function routeOf({ route, rule }: RequestRecord): string | undefined {
  return route === undefined ? undefined : rule === undefined ? route : `${route} ${rule}`
}

/** A sidecar that dials the pod sees the pod's proof and never the waypoint's. */
function sentUpByServer(server: string, { identity, status }: WaypointExpectation): boolean {
  return status === 403 && server !== identity
}

/** Its proof to the client's side, unless somebody else was asked first, and to the application's. */
function proven(
  outbound: AccessRecord | undefined,
  sentUp: AccessRecord | undefined,
  arrival: AccessRecord | undefined,
): string | undefined {
  const seen = [
    ...(sentUp === undefined ? [outbound?.destinationIdentity] : []),
    ...(arrival === undefined ? [] : [arrival.sourceIdentity]),
  ]
  const different = new Set(seen)
  return different.size === 1 ? seen[0] : [...different].join(' and ') || undefined
}

function isFrom({ sourceIdentity }: AccessRecord, { identity }: WaypointExpectation): boolean {
  return sourceIdentity === identity
}

function count(
  records: readonly { readonly destinationWorkload: string | undefined }[],
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { destinationWorkload = 'none' } of records)
    counts.set(destinationWorkload, (counts.get(destinationWorkload) ?? 0) + 1)
  return new Map([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
