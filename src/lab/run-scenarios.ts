import { isIP } from 'node:net'
import { formatHostPort } from '../mesh/addresses.ts'
import type { AccessRecord } from './access-record.ts'
import type { ClientRequest } from './client.ts'
import type { MeshLab } from './mesh-lab.ts'
import { NodeObservers } from './node-observers.ts'
import { type Observation, observe, recordsOf } from './observation.ts'
import { nodeProxyName, sidecarName, waypointName } from './processes.ts'
import type { RequestRecord } from './request-record.ts'
import type { Scenario } from './scenario.ts'
import type { LabPod } from './topology.ts'
import type { WireEvidence, WireObserver, WireQuestion } from './wire-observer.ts'

/**
 * Makes the connections one after the other, so that what the proxies log and
 * what is on the links meanwhile belongs to one of them. Tells each as it ends.
 */
export async function runScenarios(
  lab: MeshLab,
  scenarios: readonly Scenario[],
  onObservation: (observation: Observation) => void = () => undefined,
): Promise<readonly Observation[]> {
  using observers = new NodeObservers(lab)
  const observations: Observation[] = []
  for (const scenario of scenarios) {
    const { node } = clientOf(lab, scenario)
    // Copying every packet of a large transfer to a reader would be most of its cost.
    if (scenario.traffic.kind === 'download') observers.closeAllBut(node)
    const observation = await runScenario(lab, scenario, observers)
    observations.push(observation)
    onObservation(observation)
  }
  return observations
}

/** One connection. */
export async function runScenario(
  lab: MeshLab,
  scenario: Scenario,
  observers: NodeObservers,
): Promise<Observation> {
  const observer = observers.on(clientOf(lab, scenario).node)
  const { host, port } = lab.resolve(scenario.target)
  const request = requestOf(lab, scenario)
  const question: WireQuestion = {
    marker: request.marker,
    ...endsOf(lab, scenario, isIP(host)),
  }
  const [position, verdicts] = [lab.journal.length, lab.journal.verdicts]
  observer.begin()
  const sample = scenario.traffic.kind === 'download' ? sampleWire(observer, question) : undefined
  const report = await lab.connect(scenario.from, request)
  const wire = sample === undefined ? observer.evidence(question) : await sample
  const { connections: hops, requests: asked } = linesOf(scenario)
  const requestsOf = (): readonly RequestRecord[] =>
    lab.journal.requests.filter(({ path }) => path.includes(request.marker))
  const records = await lab.journal.gather(
    position,
    (all) => recordsOf(all, report, question).length >= hops && requestsOf().length >= asked,
    LOG_TIMEOUT_MS,
  )
  const own = recordsOf(records, report, question)
  const requests = requestsOf()
  const inbound = own.find(({ direction }) => direction === 'inbound')
  return observe({
    scenario,
    dialled: formatHostPort(host, port),
    report,
    records: own,
    verdicts: inbound === undefined ? [] : lab.journal.verdictsOf(inbound, verdicts),
    wire,
    requests,
    arrivals: await arrivalsOf(lab, requests),
  })
}

/** What is to be logged of a connection as it ends. Behind a waypoint, connections stay open for other requests. */
function linesOf({ traffic, expected }: Scenario): {
  readonly connections: number
  readonly requests: number
} {
  const { hops, waypoint } = expected
  if (waypoint?.status === undefined) return { connections: hops.length, requests: 0 }
  const requests = (traffic.kind === 'http' ? traffic.requests : undefined) ?? 1
  return { connections: hops.indexOf(waypoint.name), requests }
}

/** The open connections on which requests reached their applications, as the proxies before these tell them. */
async function arrivalsOf(
  lab: MeshLab,
  requests: readonly RequestRecord[],
): Promise<readonly AccessRecord[]> {
  const reached = new Map(
    requests.map(({ destinationWorkload, upstreamHost }) => [destinationWorkload, upstreamHost]),
  )
  const arrivals = [...reached].map(async ([workload, upstreamHost]): Promise<readonly AccessRecord[]> => {
    const pod = lab.topology.pods.find(({ id }) => id === workload)
    if (pod === undefined || pod.mode === 'plain') return []
    const ambient = pod.mode === 'ambient'
    const { status, body } = await lab.admin(ambient ? pod.node : pod.id, '/connections')
    // An Envoy in the seat has no such list.
    if (status !== 200) return []
    const proxy = ambient ? nodeProxyName(pod.node) : sidecarName(pod)
    return (JSON.parse(body) as AccessRecord[])
      .filter(({ direction, hboneAddress }) => direction === 'inbound' && hboneAddress === upstreamHost)
      .map((connection) => ({ ...connection, proxy }))
  })
  return (await Promise.all(arrivals)).flat()
}

/** Looks at the first packets of a large transfer, then stops the capture for good. */
async function sampleWire(observer: WireObserver, question: WireQuestion): Promise<WireEvidence> {
  const deadline = performance.now() + SAMPLE_TIMEOUT_MS
  let evidence = observer.evidence(question)
  while (evidence.packets < SAMPLE_PACKETS && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_EVERY_MS))
    evidence = observer.evidence(question)
  }
  observer[Symbol.dispose]()
  return evidence
}

function requestOf(lab: MeshLab, { target, traffic }: Scenario): ClientRequest {
  const marker = lab.newMarker()
  const common = { marker, ...lab.resolve(target) }
  if (traffic.kind === 'half-close') return { ...common, kind: 'tcp', size: traffic.bytes }
  if (traffic.kind === 'download') return { ...common, kind: 'http', path: `/bytes/${traffic.bytes}` }
  const { path = '/', requests = 1 } = traffic
  return { ...common, kind: 'http', path: `${path}?marker=${marker}`, requests }
}

function clientOf(lab: MeshLab, { from }: Scenario): LabPod {
  const pod = lab.topology.pods.find(({ id }) => id === from)
  if (pod === undefined) throw new Error(`no pod ${from}`)
  return pod
}

/** All in the family that is dialled: the one does not change on the way. */
function endsOf(
  lab: MeshLab,
  { from, target, expected: { waypoint, hops, wire } }: Scenario,
  family: number,
): Pick<WireQuestion, 'clientAddress' | 'serverAddresses'> {
  const { pods, outside } = lab.topology
  // Who speaks HBONE to the waypoint is at its goal there, as far as the client's node can see; who does not may dial any backend.
  const atWaypoint = waypoint !== undefined && wire === 'HBONE' && hops[1] === waypoint.name
  const mayEnd = (pod: LabPod): boolean => {
    if (atWaypoint) return waypointName(pod) === waypoint.name
    return target.by === 'service' && waypoint !== undefined
      ? waypoint.backends.includes(pod.id)
      : pod.id === target.to
  }
  const servers = pods.filter(mayEnd)
  const ends = servers.length > 0 ? servers : [{ addresses: [outside.address, outside.ipv6] }]
  const client = pods.filter(({ id }) => id === from)
  const inFamily = (all: readonly { readonly addresses: readonly string[] }[]): readonly string[] =>
    all.flatMap(({ addresses }) => addresses).filter((address) => isIP(address) === family)
  return { clientAddress: inFamily(client)[0] ?? '', serverAddresses: inFamily(ends) }
}

/** After the client has ended, its proxies log within milliseconds, on a busy machine within seconds. */
const LOG_TIMEOUT_MS = 10_000
const SAMPLE_PACKETS = 64
const SAMPLE_EVERY_MS = 5
const SAMPLE_TIMEOUT_MS = 10_000
