import {
  type EndpointCandidate,
  type ExplainedArrival,
  type ExplainedRoute,
  type Explanation,
  explainDecision,
  explainPolicies,
  type LoadBalanceChoice,
  type RouteStep,
} from '../mesh/index.ts'

/** An explanation for people: who decides what, in order, and why. Lines end in `\n`. */
export function explanationText(explanation: Explanation, asked: string): string {
  const { source, destination, route, choices, arrival, notes } = explanation
  const target = asked === destination ? asked : `${asked} (${destination})`
  const lines = [
    `${podName(source.workload)} on ${source.node || 'an unknown node'} → ${target}`,
    ...(route === undefined ? [] : section('the way out', routeLines(route))),
    ...choices.flatMap((choice) => section(choiceTitle(choice), choice.candidates.map(candidateLine))),
    ...(arrival === undefined ? [] : section(arrivalTitle(arrival), arrivalLines(arrival))),
    ...(notes.length === 0 ? [] : ['', ...notes.map((note) => `note: ${note}`)]),
  ]
  return `${lines.join('\n')}\n`
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return ['', title, ...lines.map((line) => `  ${line}`)]
}

function routeLines({ steps, outcome }: ExplainedRoute): readonly string[] {
  return [...stepLines(steps), `=> ${outcome}`]
}

function stepLines(steps: readonly RouteStep[]): readonly string[] {
  const width = Math.max(...steps.map(({ step }) => step.length), 0)
  return steps.map(({ step, detail }) => `${step.padEnd(width)}  ${detail}`)
}

function choiceTitle({ service, port, mode, candidates }: LoadBalanceChoice): string {
  const what = candidates.length === 0 ? 'no endpoints' : 'the endpoints'
  return `${what} of ${service} port ${port}, mode ${mode}`
}

function candidateLine({ status, name, addresses, port, node, share, reason }: EndpointCandidate): string {
  const address = addresses[0] ?? 'no address'
  const where = port === undefined ? address : `${address.includes(':') ? `[${address}]` : address}:${port}`
  const part = status === 'excluded' ? status : `${Math.round(share * 100)} %`
  return `${MARKS[status]} ${name}  ${where}  ${node}  ${part}: ${reason}`
}

const MARKS: Readonly<Record<EndpointCandidate['status'], string>> = {
  chosen: '✓',
  possible: '·',
  excluded: '✗',
}

function arrivalTitle({ workload, enforcedBy }: ExplainedArrival): string {
  return `the arrival at ${podName(workload)}, judged by ${enforcedBy}`
}

function arrivalLines({ context, steps, verdict, onward, outcome }: ExplainedArrival): readonly string[] {
  const { sourceIdentity, sourceAddress, destinationAddress, destinationPort } = context
  const who = sourceIdentity ?? 'nobody, the connection is plaintext'
  const target = destinationAddress.includes(':') ? `[${destinationAddress}]` : destinationAddress
  return [
    ...stepLines(steps),
    `policies see ${who}, from ${sourceAddress}, to ${target}:${destinationPort}`,
    ...(verdict.policies.length === 0 ? ['no policy bears on it'] : explainPolicies(verdict.policies)),
    explainDecision(verdict),
    ...stepLines(onward),
    `=> ${outcome}`,
  ]
}

/** `foo/sleep`, of a pod's uid; other uids as they are. */
function podName(uid: string): string {
  return /^[^/]*\/\/Pod\/(.+)$/.exec(uid)?.[1] ?? uid
}
