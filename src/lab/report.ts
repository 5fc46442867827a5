import { readFileSync } from 'node:fs'
import type { AccessRecord } from './access-record.ts'
import type { MeshLab } from './mesh-lab.ts'
import type { Observation } from './observation.ts'
import type { RequestRecord } from './request-record.ts'
import { alignColumns, formatBytes, formatMilliseconds, type Palette } from './terminal.ts'
import type { LabPod } from './topology.ts'
import { routeOf } from './waypoint-observation.ts'

/** One connection as `--json` prints it. */
export interface ConnectionJson {
  readonly id: string
  readonly title: string
  readonly from: string
  readonly to: string
  readonly dialled: string
  readonly addressedBy: 'pod' | 'service'
  readonly hops: readonly string[]
  readonly wire: Observation['wire']
  readonly identities: { readonly client: string | null; readonly server: string | null }
  readonly verdict: Observation['verdict']
  readonly policy: string | null
  readonly dryRun: readonly string[]
  readonly bytesSent: number
  readonly bytesReceived: number
  readonly milliseconds: number
  readonly expected: Observation['scenario']['expected']
  readonly asExpected: boolean
  readonly problems: readonly string[]
  readonly accessLog: readonly AccessRecord[]
  /** Of what went through a waypoint. */
  readonly waypoint?: {
    readonly identity: string | null
    /** Requests, or one connection, by pod. */
    readonly backends: Readonly<Record<string, number>>
    readonly requests: readonly RequestRecord[]
  }
}

/** The whole run as `--json` prints it. */
export interface LabJson {
  readonly asExpected: boolean
  /** From the first command to a mesh that is ready. */
  readonly startMilliseconds: number
  /** Who is in the sidecars' seats: `ztunnel`, or `Envoy 1.40.0`. */
  readonly sidecarProxy: string
  readonly connections: readonly ConnectionJson[]
}

/**
 * What a run prints: the table and a closing sentence. `width` is the
 * terminal's, if known: the titles are left out where they do not fit.
 */
export function formatOutcome(
  observations: readonly Observation[],
  palette: Palette,
  width: number = Number.POSITIVE_INFINITY,
  sidecarProxy: string = OWN_PROXY,
): readonly string[] {
  const inPod = sidecarProxy === OWN_PROXY ? 'the proxy in the pod' : `the ${sidecarProxy} in the pod`
  const legend = `hops: node-x is the ztunnel of that node, sidecar ${inPod}; ⇒ HBONE, → plain TCP; VIP: dialled by service`
  return [
    '',
    ...formatTable(observations, palette, width),
    palette.dim(`  ${legend}`),
    '',
    formatSummary(observations, palette),
  ]
}

/** The table, its heading first: one line for each connection, and one more for each thing that is wrong with it. */
export function formatTable(
  observations: readonly Observation[],
  palette: Palette,
  width: number,
): readonly string[] {
  const rows = [HEADING, ...observations.map(cells)]
  const full = alignColumns(rows)
  const fits = full.every((line) => line.length + MARK_WIDTH <= width)
  const [heading = '', ...lines] = fits ? full : alignColumns(rows.map((row) => row.slice(0, -1)))
  const body = lines.flatMap((line, index) => {
    const observation = observations[index]
    if (observation === undefined) return []
    const mark = observation.problems.length === 0 ? palette.good('✓') : palette.bad('✗')
    return [`${mark} ${line}`, ...problemLines(observation, palette)]
  })
  return [palette.dim(`  ${heading}`), ...body]
}

/** The closing sentence of a run. */
export function formatSummary(observations: readonly Observation[], palette: Palette): string {
  const wrong = observations.filter(({ problems }) => problems.length > 0).length
  const total = observations.length
  if (wrong === 0) return palette.good(`All ${total} connections came out as expected.`)
  return palette.bad(`${wrong} of ${total} connections did not come out as expected.`)
}

export function toJson(
  observations: readonly Observation[],
  startMilliseconds: number,
  sidecarProxy: string = OWN_PROXY,
): LabJson {
  const connections = observations.map(toConnectionJson)
  const asExpected = connections.every((connection) => connection.asExpected)
  return { asExpected, startMilliseconds, sidecarProxy, connections }
}

/** How to go on from here, for a lab that stays up. */
export function formatGuide(
  lab: MeshLab,
  hostPid: number,
  palette: Palette,
  policies = 'authorization-policies.yaml',
): readonly string[] {
  const { state, topology } = lab
  const envoy =
    lab.sidecarProxy === OWN_PROXY ? undefined : topology.pods.find(({ mode }) => mode === 'sidecar')?.id
  const client = lab.topology.pods.find(({ mode }) => mode === 'ambient') ?? lab.topology.pods[0]
  const pod = client?.id ?? 'outside'
  const url = urlOfServer(lab, client)
  const rows = [
    ['send traffic', `npx ztunnel lab exec ${pod} -- curl -s ${url}`],
    ['without curl', `npx ztunnel lab get ${pod} ${url}`],
    ['admin of a node', 'npx ztunnel lab exec node-a -- curl -s http://localhost:15000/config_dump'],
    ['metrics', 'npx ztunnel lab exec node-a -- curl -s http://localhost:15020/stats/prometheus'],
    ['a shell in a pod', `npx ztunnel lab exec ${pod} -- sh`],
    ['its rules', `npx ztunnel lab exec ${pod} -- iptables-save -t nat`],
    ['the wire', 'npx ztunnel lab exec node-a -- tcpdump -ni eth0'],
    ...(envoy === undefined
      ? []
      : [['an Envoy', `npx ztunnel lab exec ${envoy} -- curl -s http://localhost:15000/clusters`]]),
    [
      'change a policy',
      `edit ${state.config}/${policies}; it applies at once${envoy === undefined ? '' : ', but not in the Envoys: theirs is of their start'}`,
    ],
    ['logs', `${state.logs}/`],
    ['by hand', `nsenter ${enterFlags(hostPid)} ip netns exec ${client?.netns ?? 'outside'} sh`],
  ]
  const places = [...lab.topology.nodes.map(({ name }) => name), ...lab.topology.pods.map(({ id }) => id)]
  return [
    palette.bold('Look further, from another terminal:'),
    ...alignColumns(rows).map((line) => `  ${line}`),
    palette.dim(`  places: ${[...places, 'outside', 'control-plane', 'fabric'].join(', ')}`),
    palette.dim(
      '  names: <service>.<namespace>, <pod>.<namespace>.pod, outside; ports 80 (HTTP), 9000 (TCP)',
    ),
  ]
}

/** A connection that the user made, as it ends. */
export function formatRecord(record: AccessRecord, palette: Palette): string {
  const { proxy, direction, source, destination, error, policy } = record
  const from = record.sourceWorkload ?? source
  const to = record.destinationWorkload ?? record.hboneAddress ?? destination
  const tunnel = record.hboneAddress === undefined ? 'plain' : 'HBONE'
  const bytes = `↑ ${formatBytes(record.bytesSent)} ↓ ${formatBytes(record.bytesReceived)}`
  const by = policy === undefined ? '' : `  ${policy}`
  const end = error === undefined ? palette.good('✓') : palette.bad('✗')
  const why = error === undefined ? '' : `  ${palette.bad(error)}`
  return `${end} ${proxy} ${direction}  ${from} → ${to}  ${tunnel}  ${bytes}  ${record.duration}${by}${why}`
}

/** A service that the pod can ask: of another namespace if there is one. */
function urlOfServer({ topology }: MeshLab, client: LabPod | undefined): string {
  const { services, outside } = topology
  const service = services.find(({ namespace }) => namespace !== client?.namespace) ?? services[0]
  return `http://${service === undefined ? outside.name : `${service.name}.${service.namespace}`}/`
}

/** A request that the user made, as the waypoint tells it. */
export function formatRequest(record: RequestRecord, palette: Palette): string {
  const { proxy, method, path, status, policy, details } = record
  const from = record.sourceWorkload ?? record.source
  const to = record.destinationWorkload ?? record.service ?? ''
  const mark = status >= 400 || status === 0 ? palette.bad('✗') : palette.good('✓')
  const [route = ''] = [routeOf(record)]
  const why = policy === undefined ? (status >= 400 ? (details ?? '') : '') : `by ${policy}`
  return `${mark} ${[proxy, `${method} ${path}`, `${from} → ${to}`, String(status), route, why].filter((part) => part !== '').join('  ')}`
}

/** A user namespace maps the ordinary user to root and nobody else. */
function enterFlags(hostPid: number): string {
  const mapped = /^\s*0\s+0\s/.test(readFileSync('/proc/self/uid_map', 'utf8'))
  return `-t ${hostPid}${mapped ? '' : ' -U --preserve-credentials'} -m -n`
}

/** As `MeshLab.sidecarProxy` says it. */
const OWN_PROXY = 'ztunnel'
const HEADING = ['FROM', 'TO', 'DIALLED', 'HOPS', 'WIRE', 'PROVEN IDENTITIES', 'VERDICT', 'BYTES', 'TIME', '']
/** Of the mark before each line. */
const MARK_WIDTH = 2

function cells(observation: Observation): readonly string[] {
  const { scenario, wire, milliseconds } = observation
  return [
    scenario.from,
    scenario.target.to,
    `${observation.dialled}${scenario.target.by === 'service' ? ' VIP' : ''}`,
    formatHops(observation),
    `${wire.protocol}${wire.markerSeen ? ', readable' : ''}`,
    formatIdentities(observation),
    formatDecision(observation),
    `↑ ${formatBytes(observation.bytesSent)} ↓ ${formatBytes(observation.bytesReceived)}`,
    formatMilliseconds(milliseconds),
    scenario.title,
  ]
}

/** `node-a ⇒ node-b`, `node-a → sidecar`; nothing before the arrow: the client has no proxy. */
function formatHops({ records, wire, hops, waypoint }: Observation): string {
  if (waypoint !== undefined) return hopsWithWaypoint(hops, wire.protocol === 'HBONE')
  const name = (direction: AccessRecord['direction']): string => {
    const proxy = records.find((record) => record.direction === direction)?.proxy ?? ''
    return proxy.startsWith('sidecar@') ? 'sidecar' : proxy.replace('ztunnel@', '')
  }
  return `${name('outbound')} ${wire.protocol === 'HBONE' ? '⇒' : '→'} ${name('inbound')}`.trim()
}

/** `node-a ⇒ waypoint ⇒ node-d`; from a client without a proxy, `→ node-d ⇒ waypoint ⇒ node-d`. */
function hopsWithWaypoint(hops: readonly string[], tunnel: boolean): string {
  const names = hops.map((hop) =>
    /^(?:sidecar|waypoint)@/.test(hop) ? hop.replace(/@.*/, '') : hop.replace('ztunnel@', ''),
  )
  return `${tunnel ? '' : '→ '}${names.join(' ⇒ ')}`
}

/** `namespace/serviceAccount` of both sides; the trust domain is the lab's only one. */
function formatIdentities({ client, server, waypoint, verdict }: Observation): string {
  if (waypoint?.identity !== undefined) {
    const middle = `${shortIdentity(client)} ⇄ ${shortIdentity(waypoint.identity)}`
    return verdict === 'denied' ? middle : `${middle} ⇄ ${shortIdentity(server)}`
  }
  if (client === undefined && server === undefined) return 'none'
  return `${shortIdentity(client)} ⇄ ${shortIdentity(server)}`
}

function shortIdentity(spiffeId: string | undefined): string {
  if (spiffeId === undefined) return 'none'
  const match = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(spiffeId)
  return match === null ? spiffeId : `${match[1]}/${match[2]}`
}

/** The verdict, and what a waypoint made of it: `200 by bar-2/helloworld split → helloworld-v1 45, helloworld-v2 15`. */
function formatDecision(observation: Observation): string {
  const { waypoint, report, records } = observation
  const judged = records.some(({ direction }) => direction === 'inbound')
  const [request] = waypoint?.requests ?? []
  if (waypoint === undefined || (request === undefined && waypoint.backends.size === 0))
    return formatVerdict({ ...observation, judged })
  if (observation.verdict === 'denied') return `${report.status} denied by ${observation.policy}`
  const several = waypoint.requests.length > 1
  const backends = [...waypoint.backends].map(
    ([pod, count]) => `${pod.replace(/^.*\//, '')}${several ? ` ${count}` : ''}`,
  )
  const route = request === undefined ? undefined : routeOf(request)?.replace(/^\w+\//, '')
  const said = request === undefined ? observation.verdict : String(report.status)
  return `${said}${route === undefined ? '' : ` by ${route}`} → ${backends.join(', ')}`
}

/** A verdict with its reason; `judged` says whether a proxy of the mesh had a say. */
export function formatVerdict({
  verdict,
  policy,
  judged,
}: Pick<Observation, 'verdict' | 'policy'> & { readonly judged: boolean }): string {
  if (policy !== undefined) return `${verdict} by ${policy}`
  if (verdict === 'denied') return 'denied, no ALLOW policy matched'
  return judged && verdict === 'allowed' ? 'allowed, no policy applies' : verdict
}

/** Below a connection's line: what is wrong with it, and what the proxies said. */
export function problemLines({ problems, records }: Observation, palette: Palette): readonly string[] {
  if (problems.length === 0) return []
  const errors = records.flatMap(({ proxy, error }) =>
    error === undefined ? [] : [`${proxy} said: ${error}`],
  )
  return [...problems, ...errors].map((line) => palette.bad(`    ${line}`))
}

/** A connection as JSON; null where nothing was seen. */
export function toConnectionJson(observation: Observation): ConnectionJson {
  const { scenario, problems, records } = observation
  return {
    id: scenario.id,
    title: scenario.title,
    from: scenario.from,
    to: scenario.target.to,
    dialled: observation.dialled,
    addressedBy: scenario.target.by,
    hops: observation.hops,
    wire: observation.wire,
    identities: { client: observation.client ?? null, server: observation.server ?? null },
    verdict: observation.verdict,
    policy: observation.policy ?? null,
    dryRun: observation.dryRun,
    bytesSent: observation.bytesSent,
    bytesReceived: observation.bytesReceived,
    milliseconds: Math.round(observation.milliseconds),
    expected: scenario.expected,
    asExpected: problems.length === 0,
    problems,
    accessLog: records,
    ...(observation.waypoint === undefined
      ? {}
      : {
          waypoint: {
            identity: observation.waypoint.identity ?? null,
            backends: Object.fromEntries(observation.waypoint.backends),
            requests: observation.waypoint.requests,
          },
        }),
  }
}
