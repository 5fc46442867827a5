import type { Observation } from './observation.ts'
import { type ConnectionJson, formatVerdict, problemLines, toConnectionJson } from './report.ts'
import type { ExampleOutcome } from './run-examples.ts'
import { alignColumns, type Palette } from './terminal.ts'

/** An example as `--json` prints it. */
export interface ExampleJson {
  readonly name: string
  readonly title: string
  readonly asExpected: boolean
  readonly connections: readonly ConnectionJson[]
}

/** A run of examples as `--json` prints it. */
export interface ExamplesJson {
  readonly asExpected: boolean
  /** From the first command to a mesh that is ready. */
  readonly startMilliseconds: number
  readonly examples: readonly ExampleJson[]
}

/** What a run prints: for each example its title and a line for each connection, then a closing sentence. */
export function formatExamples(outcomes: readonly ExampleOutcome[], palette: Palette): readonly string[] {
  return [
    ...outcomes.flatMap((outcome) => formatExample(outcome, palette)),
    '',
    formatSummary(outcomes, palette),
  ]
}

export function examplesJson(outcomes: readonly ExampleOutcome[], startMilliseconds: number): ExamplesJson {
  const examples = outcomes.map(({ example, observations }) => {
    const connections = observations.map(toConnectionJson)
    const { name, title } = example
    return { name, title, asExpected: connections.every(({ asExpected }) => asExpected), connections }
  })
  return { asExpected: examples.every(({ asExpected }) => asExpected), startMilliseconds, examples }
}

/** Whether everything came out as it must. */
export function allAsExpected(outcomes: readonly ExampleOutcome[]): boolean {
  return outcomes.every(({ observations }) => observations.every(({ problems }) => problems.length === 0))
}

function formatExample({ example, observations }: ExampleOutcome, palette: Palette): readonly string[] {
  const [heading = '', ...lines] = alignColumns([HEADING, ...observations.map(cells)])
  const body = lines.flatMap((line, index) => {
    const observation = observations[index]
    if (observation === undefined) return []
    const mark = observation.problems.length === 0 ? palette.good('✓') : palette.bad('✗')
    return [`${mark} ${line}`, ...problemLines(observation, palette)]
  })
  return ['', palette.bold(`${example.name}: ${example.title}`), palette.dim(`  ${heading}`), ...body]
}

const HEADING = ['FROM', 'TO', 'WIRE', 'SEEN', 'EXPECTED', 'WHY']

function cells(observation: Observation): readonly string[] {
  const { scenario, wire, policy, verdict, dryRun, records } = observation
  const { expected, target } = scenario
  const judged = records.some(({ direction }) => direction === 'inbound')
  const seen = formatVerdict({ verdict, policy, judged }) + formatDryRun(dryRun)
  const wanted = formatVerdict({ ...expected, judged }) + formatDryRun(expected.dryRun ?? [])
  return [
    scenario.from,
    `${target.to} ${target.port}${target.family === 6 ? ', IPv6' : ''}`,
    // Refused before the client's first byte.
    wire.protocol === 'nothing' ? 'plain' : wire.protocol,
    seen,
    seen === wanted ? 'the same' : wanted,
    scenario.title,
  ]
}

function formatDryRun(policies: readonly string[]): string {
  return policies.length === 0 ? '' : `; dry run: ${policies.join(', ')}`
}

function formatSummary(outcomes: readonly ExampleOutcome[], palette: Palette): string {
  const observations = outcomes.flatMap((outcome) => outcome.observations)
  const wrong = observations.filter(({ problems }) => problems.length > 0).length
  const total = `${observations.length} connections of ${outcomes.length} example${outcomes.length === 1 ? '' : 's'}`
  return wrong === 0
    ? palette.good(`All ${total} came out as expected.`)
    : palette.bad(`${wrong} of ${total} did not come out as expected.`)
}
