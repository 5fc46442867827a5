import { readFileSync } from 'node:fs'
import type { AccessRecord } from './access-record.ts'
import type { MeshLab } from './mesh-lab.ts'
import type { Observation } from './observation.ts'
import { alignColumns, formatBytes, formatMilliseconds, type Palette } from './terminal.ts'
import type { LabPod } from './topology.ts'

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
    formatVerdict({
      ...observation,
      judged: observation.records.some(({ direction }) => direction === 'inbound'),
    }),
    `↑ ${formatBytes(observation.bytesSent)} ↓ ${formatBytes(observation.bytesReceived)}`,
    formatMilliseconds(milliseconds),
    scenario.title,
  ]
}

/** `node-a ⇒ node-b`, `node-a → sidecar`; nothing before the arrow: the client has no proxy. */
function formatHops({ records, wire }: Observation): string {
  const name = (direction: AccessRecord['direction']): string => {
    const proxy = records.find((record) => record.direction === direction)?.proxy ?? ''
    return proxy.startsWith('sidecar@') ? 'sidecar' : proxy.replace('ztunnel@', '')
  }
  return `${name('outbound')} ${wire.protocol === 'HBONE' ? '⇒' : '→'} ${name('inbound')}`.trim()
}

/** `namespace/serviceAccount` of both sides; the trust domain is the lab's only one. */
function formatIdentities({ client, server }: Observation): string {
  if (client === undefined && server === undefined) return 'none'
  return `${shortIdentity(client)} ⇄ ${shortIdentity(server)}`
}

function shortIdentity(spiffeId: string | undefined): string {
  if (spiffeId === undefined) return 'none'
  const match = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(spiffeId)
  return match === null ? spiffeId : `${match[1]}/${match[2]}`
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
  }
}
