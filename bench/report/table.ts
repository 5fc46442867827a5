import type { Figure, Measure } from '../measures/measure.ts'
import type { Results } from '../results.ts'
import type { Summary } from '../statistics.ts'

/** A peer's column. */
export interface Column {
  readonly name: string
  readonly title: string
}

/** A Markdown table, with columns as wide as what is in them. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

/** Every figure of every measure: a column for each peer, then ours as a multiple of each other's. */
export function figureTable(
  measures: readonly Measure[],
  peers: readonly Column[],
  results: Results,
): string {
  const others = peers.some(({ name }) => name === 'ours') ? peers.filter(({ name }) => name !== 'ours') : []
  const rows = measures.flatMap(({ name, title, figures }) =>
    figures
      .filter(({ key }) => peers.some((peer) => results.figure(name, key, peer.name) !== undefined))
      .map((figure) => [
        `${title}: ${figure.title}${figure.unit === '' ? '' : `, ${figure.unit}`}`,
        ...peers.map((peer) => cell(results.figure(name, figure.key, peer.name), figure)),
        ...others.map((peer) => times(results.ratio(name, figure.key, 'ours', peer.name))),
      ]),
  )
  const head = ['measure', ...peers.map(({ title }) => title), ...others.map(({ name }) => `ours / ${name}`)]
  return markdownTable(head, rows)
}

/** What the kernel charged each proxy with. */
export function accountTable(
  measures: readonly Measure[],
  peers: readonly Column[],
  results: Results,
): string {
  const proxies = peers.filter(({ name }) => name !== 'direct')
  const roles = ['out', 'in'] as const
  const rows = measures.map(({ name, title }) => [
    title,
    ...proxies.flatMap((peer) =>
      roles.map((role) => {
        const cpu = results.account(name, peer.name, role, 'cpuSeconds')
        const peak = results.account(name, peer.name, role, 'peakBytes')
        return cpu === undefined || peak === undefined
          ? '–'
          : `${cpu.median.toFixed(2)} s, ${(peak.median / 1e6).toFixed(0)} MB`
      }),
    ),
  ])
  return markdownTable(
    ['measure', ...proxies.flatMap(({ title }) => roles.map((role) => `${title} ${role}`))],
    rows,
  )
}

/** Median, and how far the rounds were apart. */
export function cell(summary: Summary | undefined, { digits }: Pick<Figure, 'digits'>): string {
  if (summary === undefined) return '–'
  const [median, min, max] = [summary.median, summary.min, summary.max].map((value) => value.toFixed(digits))
  return summary.count === 1 ? `${median}` : `${median} (${min}–${max})`
}

function times(ratio: number | undefined): string {
  return ratio === undefined ? '–' : `${ratio.toFixed(2)}×`
}
