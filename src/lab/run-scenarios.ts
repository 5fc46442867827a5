import { isIP } from 'node:net'
import { formatHostPort } from '../mesh/addresses.ts'
import type { ClientRequest } from './client.ts'
import type { MeshLab } from './mesh-lab.ts'
import { NodeObservers } from './node-observers.ts'
import { type Observation, observe, recordsOf } from './observation.ts'
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
  const ends = { ...question, server: scenario.target.to }
  const hops = scenario.expected.hops.length
  const records = await lab.journal.gather(
    position,
    (all) => recordsOf(all, report, ends).length >= hops,
    LOG_TIMEOUT_MS,
  )
  const own = recordsOf(records, report, ends)
  const inbound = own.find(({ direction }) => direction === 'inbound')
  return observe({
    scenario,
    dialled: formatHostPort(host, port),
    report,
    records: own,
    verdicts: inbound === undefined ? [] : lab.journal.verdictsOf(inbound, verdicts),
    wire,
  })
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
  return { ...common, kind: 'http', path: `/?marker=${marker}` }
}

function clientOf(lab: MeshLab, { from }: Scenario): LabPod {
  const pod = lab.topology.pods.find(({ id }) => id === from)
  if (pod === undefined) throw new Error(`no pod ${from}`)
  return pod
}

/** Both in the family that is dialled: the one does not change on the way. */
function endsOf(
  lab: MeshLab,
  scenario: Scenario,
  family: number,
): Pick<WireQuestion, 'clientAddress' | 'serverAddress'> {
  const { pods, outside } = lab.topology
  const server = pods.find(({ id }) => id === scenario.target.to) ?? {
    addresses: [outside.address, outside.ipv6],
  }
  const pick = ({ addresses }: { readonly addresses: readonly string[] }): string =>
    addresses.find((address) => isIP(address) === family) ?? ''
  return { clientAddress: pick(clientOf(lab, scenario)), serverAddress: pick(server) }
}

/** After the client has ended, its proxies log within milliseconds, on a busy machine within seconds. */
const LOG_TIMEOUT_MS = 10_000
const SAMPLE_PACKETS = 64
const SAMPLE_EVERY_MS = 5
const SAMPLE_TIMEOUT_MS = 10_000
