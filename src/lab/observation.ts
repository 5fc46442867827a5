import { formatHostPort } from '../mesh/addresses.ts'
import type { AccessRecord } from './access-record.ts'
import type { ClientReport } from './client.ts'
import type { RequestRecord } from './request-record.ts'
import type { Expectation, Scenario } from './scenario.ts'
import type { VerdictRecord } from './verdict-record.ts'
import { pathThroughWaypoint, type ThroughWaypoint, waypointProblems } from './waypoint-observation.ts'
import type { WireEvidence } from './wire-observer.ts'

/** What became of a connection: client, proxies and wire each say what they saw. */
export interface Observation {
  readonly scenario: Scenario
  /** `10.96.2.12:80` */
  readonly dialled: string
  readonly verdict: 'allowed' | 'denied' | 'failed'
  readonly policy: string | undefined
  /** The proxies that logged it, the client's side first. */
  readonly hops: readonly string[]
  readonly wire: WireEvidence
  /** Identity that the client's side proved, as the server's side logged it. */
  readonly client: string | undefined
  /** Identity that the server's side proved, as the client's side logged it. */
  readonly server: string | undefined
  /** Dry-run policies that matched, as the server's side logged them. */
  readonly dryRun: readonly string[]
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Left out where no waypoint was to be on the way. */
  readonly waypoint?: ThroughWaypoint
  readonly milliseconds: number
  readonly records: readonly AccessRecord[]
  readonly report: ClientReport
  /** Differences from what was expected; empty when all came out right. */
  readonly problems: readonly string[]
}

/** What was collected for one connection. */
export interface Evidence {
  readonly scenario: Scenario
  readonly dialled: string
  readonly report: ClientReport
  readonly records: readonly AccessRecord[]
  /** Of the server's proxy on this connection; none unless it was told to log them. */
  readonly verdicts?: readonly VerdictRecord[]
  readonly wire: WireEvidence
  /** What waypoints said of its requests. */
  readonly requests?: readonly RequestRecord[]
  /** What waypoints had open meanwhile to the application, as its proxy tells it: many clients share it. */
  readonly arrivals?: readonly AccessRecord[]
}

/** Through whom a connection went and who proved what, as the logs have it. */
export interface ObservedPath extends Pick<Observation, 'verdict' | 'policy' | 'hops' | 'client' | 'server'> {
  /** The proxy whose policies had the last word. */
  readonly judgedBy: string | undefined
  readonly waypoint?: ThroughWaypoint
}

/** Concludes from the evidence alone, then compares with what was expected. */
export function observe(evidence: Evidence): Observation {
  const { scenario, dialled, report, records, wire } = evidence
  const outbound = records.find(({ direction }) => direction === 'outbound')
  const inbound = records.find(({ direction }) => direction === 'inbound')
  const expected = scenario.expected.waypoint
  const path =
    expected === undefined ? directPath(report, outbound, inbound) : pathThroughWaypoint(evidence, expected)
  const observed = {
    ...path,
    wire,
    dryRun: dryRunOf(evidence.verdicts ?? []),
    ...bytesOf(outbound, inbound),
  }
  const refused = expected === undefined && observed.verdict === 'denied'
  const problems = [
    ...differences(scenario.expected, observed),
    ...contentProblems(scenario, report),
    ...(refused ? refusalProblems(scenario.expected, inbound, outbound) : []),
    ...(expected === undefined || path.waypoint === undefined
      ? []
      : waypointProblems(evidence, expected, path.waypoint)),
  ]
  return { scenario, dialled, report, records, milliseconds: report.milliseconds, ...observed, problems }
}

function directPath(
  report: ClientReport,
  outbound: AccessRecord | undefined,
  inbound: AccessRecord | undefined,
): ObservedPath {
  return {
    verdict: verdictOf(report, inbound),
    policy: (inbound ?? outbound)?.policy,
    hops: [outbound, inbound].flatMap((record) => (record === undefined ? [] : [record.proxy])),
    // Each side's word about the other: that is what was proven.
    client: inbound?.sourceIdentity,
    server: outbound?.destinationIdentity,
    judgedBy: inbound?.proxy,
  }
}

/** The proxies' logs belong to one connection: by trace id, by the client's port, and by being the only one under way. */
export function recordsOf(
  records: readonly AccessRecord[],
  report: ClientReport,
  ends: { readonly clientAddress: string; readonly serverAddresses: readonly string[] },
): readonly AccessRecord[] {
  const client = formatHostPort(report.localAddress ?? '', report.localPort ?? 0)
  const outbound = records.filter(({ direction, source }) => direction === 'outbound' && source === client)
  const traces = new Set(outbound.flatMap(({ traceId }) => (traceId === undefined ? [] : [traceId])))
  const inbound = records.filter((record) => {
    if (record.direction !== 'inbound') return false
    // Plaintext that is sent on to a waypoint has a trace, but only from there on.
    if (record.traceId !== undefined) return traces.has(record.traceId) || record.source === client
    // Plaintext carries no trace: the client itself, or its proxy from the client's pod.
    const fromClient =
      outbound.length === 0 ? record.source === client : addressOf(record.source) === ends.clientAddress
    return fromClient && ends.serverAddresses.includes(addressOf(record.destination))
  })
  return [...outbound, ...inbound]
}

function verdictOf(report: ClientReport, inbound: AccessRecord | undefined): Observation['verdict'] {
  if (report.ok) return 'allowed'
  return inbound?.error?.includes('policy rejection') === true ? 'denied' : 'failed'
}

/** As the client counts them. The server's side logs its own view. */
function bytesOf(
  outbound: AccessRecord | undefined,
  inbound: AccessRecord | undefined,
): { bytesSent: number; bytesReceived: number } {
  if (outbound !== undefined) return { bytesSent: outbound.bytesSent, bytesReceived: outbound.bytesReceived }
  return { bytesSent: inbound?.bytesReceived ?? 0, bytesReceived: inbound?.bytesSent ?? 0 }
}

function differences(
  expected: Expectation,
  observed: Pick<Observation, 'verdict' | 'policy' | 'hops' | 'wire' | 'client' | 'server' | 'dryRun'>,
): readonly string[] {
  const problems: string[] = []
  const compare = (what: string, want: string | undefined, got: string | undefined): void => {
    if (want !== got) problems.push(`${what}: expected ${want ?? 'none'}, got ${got ?? 'none'}`)
  }
  compare('verdict', expected.verdict, observed.verdict)
  compare('policy', expected.policy, observed.policy)
  compare('hops', expected.hops.join(', '), observed.hops.join(', '))
  // A refusal in plaintext may come before the client's first byte, and then nothing was sent that could be read.
  const cutShort = expected.verdict === 'denied' && observed.wire.protocol === 'nothing'
  if (!(expected.wire === 'plain' && cutShort)) compare('wire', expected.wire, observed.wire.protocol)
  compare('identity of the client', expected.client, observed.client)
  // A server that refuses has proven itself all the same.
  compare('identity of the server', expected.server, observed.server)
  if (expected.dryRun !== undefined)
    compare('dry-run policies', listed(expected.dryRun), listed(observed.dryRun))
  if (expected.wire === 'HBONE' && observed.wire.markerSeen)
    problems.push('the marker was readable on the wire')
  if (expected.wire === 'HBONE' && !observed.wire.tls)
    problems.push('no TLS handshake was seen before the tunnel')
  if (expected.wire === 'plain' && !observed.wire.markerSeen && !cutShort)
    problems.push('the marker was not seen on the wire')
  return problems
}

function contentProblems({ expected, traffic }: Scenario, report: ClientReport): readonly string[] {
  // A waypoint refuses requests in their own language, a proxy of connections says nothing.
  if (expected.verdict === 'denied' && expected.waypoint?.status !== undefined) return []
  if (expected.verdict === 'denied') return report.ok ? ['a denied client got an answer'] : []
  if (!report.ok) return [`the client failed: ${report.error}`]
  const problems: string[] = []
  if (traffic.kind !== 'download' && report.markerReturned !== true)
    problems.push('the answer is not the expected one')
  if (traffic.kind === 'download' && report.received !== traffic.bytes) {
    problems.push(`received ${report.received} bytes instead of ${traffic.bytes}`)
  }
  if (traffic.kind !== 'http' && report.sha256 !== report.announcedSha256)
    problems.push('the SHA-256 sums differ')
  return problems
}

/** Of a connection that was denied: for the reason that was expected, and the client's side was told so. */
function refusalProblems(
  { verdict, policy, wire }: Expectation,
  inbound: AccessRecord | undefined,
  outbound: AccessRecord | undefined,
): readonly string[] {
  if (verdict !== 'denied') return []
  const problems: string[] = []
  const reason =
    policy === undefined ? 'allow policies exist, but none allowed' : `explicitly denied by: ${policy}`
  if (inbound?.error?.includes(reason) !== true)
    problems.push(`refusal: expected "${reason}", got ${inbound?.error ?? 'none'}`)
  if (wire === 'HBONE' && outbound?.error?.includes('401') !== true)
    problems.push(`status of the tunnel: expected 401, got ${outbound?.error ?? 'none'}`)
  return problems
}

function dryRunOf(verdicts: readonly VerdictRecord[]): readonly string[] {
  return verdicts.flatMap(({ message, policy }) =>
    policy !== undefined && DRY_RUN_MATCH.test(message) ? [policy] : [],
  )
}

function listed(names: readonly string[]): string | undefined {
  return names.length === 0 ? undefined : names.toSorted().join(', ')
}

/** Without the port and an IPv6 address's brackets. */
function addressOf(endpoint: string): string {
  return endpoint.slice(0, endpoint.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1')
}

const DRY_RUN_MATCH = /^dry-run: (?:allow|deny) policy match$/
