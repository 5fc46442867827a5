import type { Measure } from '../measures/measure.ts'
import type { BenchOptions } from '../options.ts'
import type { Results } from '../results.ts'
import { summarize } from '../statistics.ts'
import { floors, floorTable } from './floors.ts'
import { describeMachine, type Machine } from './machine.ts'
import { accountTable, type Column, figureTable } from './table.ts'

export interface ReportOptions {
  readonly machine: Machine
  readonly options: BenchOptions
  readonly measures: readonly Measure[]
  readonly peers: readonly Column[]
  readonly results: Results
  /** Which client made the requests. */
  readonly client: string
  /** Peers that could not be had, and why. */
  readonly missing: readonly string[]
}

/** All tables, as Markdown. */
export function markdownReport(report: ReportOptions): string {
  const { machine, options, measures, peers, results, client, missing } = report
  const { rounds, seconds, topology } = options
  const measured = measures.filter(({ name }) => results.all.some((result) => result.measure === name))
  const parts = [
    `${describeMachine(machine)}.`,
    `Topology: ${topology}. Median of ${rounds} ${rounds === 1 ? 'round' : 'rounds (least–most)'} of ${seconds} s each, peers in turn; requests by ${client}. ${disturbance(results)}`,
    ...missing.map((reason) => `Not measured: ${reason}`),
    '## Figures',
    figureTable(measured, peers, results),
    '## What the kernel charged each proxy with',
    'CPU seconds and peak resident memory during the measure, medians.',
    accountTable(measured, peers, results),
    '## Floors',
    floorTable(floors(results)),
  ]
  if (options.strace) parts.push('## System calls', systemCalls(report))
  if (results.failures.length > 0) {
    parts.push(
      '## Failed',
      results.failures
        .map((each) => `- ${each.measure}, ${each.peer}, round ${each.round}: ${each.reason}`)
        .join('\n'),
    )
  }
  return `${parts.join('\n\n')}\n`
}

/** Everything, for programs. */
export function jsonReport({ machine, options, peers, results, client, missing }: ReportOptions): object {
  const { commands: _, ...told } = options
  return {
    machine,
    options: told,
    client,
    peers,
    missing,
    results: results.all,
    failures: results.failures,
    floors: floors(results),
  }
}

/** The tables of the first round. */
function systemCalls({ measures, peers, results }: ReportOptions): string {
  const first = results.all.filter(({ round, systemCalls: tables }) => round === 1 && tables.length > 0)
  return first
    .flatMap(({ measure, peer, sample, systemCalls: tables }) => {
      const title = measures.find(({ name }) => name === measure)?.title ?? measure
      const by = peers.find(({ name }) => name === peer)?.title ?? peer
      const { bytes, requests } = sample
      const done = bytes === undefined ? `${requests} requests` : `${((bytes ?? 0) / 1e9).toFixed(2)} GB`
      return tables.map(({ role, table }) => `${title}, ${by}, ${role}; ${done}:\n\n\`\`\`\n${table}\n\`\`\``)
    })
    .join('\n\n')
}

/** Whether the machine had anything else to do. */
function disturbance(results: Results): string {
  const summary = summarize(results.all.map(({ foreignCpus }) => foreignCpus))
  if (summary === undefined) return ''
  const said = `Others used ${summary.median.toFixed(2)} processors meanwhile (at most ${summary.max.toFixed(2)}).`
  return summary.median > QUIET ? `${said} **That is too much: repeat it on a quiet machine.**` : said
}

/** Processors; what a system does by itself stays below. */
const QUIET = 0.1
