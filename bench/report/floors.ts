import type { Results } from '../results.ts'
import { markdownTable } from './table.ts'

/** What ours must reach at least. */
export interface Floor {
  readonly title: string
  readonly bound: string
  /** Undefined when what it needs was not measured. */
  readonly verdict: { readonly measured: string; readonly met: boolean } | undefined
}

/** Each floor of the project and whether this run met it. */
export function floors(results: Results): readonly Floor[] {
  const ratio = (
    title: string,
    measure: string,
    key: string,
    other: string,
    sign: Sign,
    bound: number,
  ): Floor => compare(`${title} / ${other}`, results.ratio(measure, key, 'ours', other), sign, bound, '×')
  const figure = (title: string, measure: string, key: string, bound: number, unit: string): Floor =>
    compare(title, results.figure(measure, key, 'ours')?.median, '≤', bound, ` ${unit}`)
  const ways = ['up', 'down'] as const
  return [
    ...ways.map((way) => ratio(`bulk ${way}, 1 conn`, `bulk-${way}-1`, 'gbps', 'haproxy', '≥', 1.25)),
    ...ways.map((way) => ratio(`CPU per GB ${way}`, `bulk-${way}-1`, 'cpuPerGb', 'haproxy', '≤', 0.85)),
    ratio('keep-alive rps, 64 conn', 'requests-64', 'rps', 'haproxy', '≥', 1.4),
    ratio('keep-alive p99, 64 conn', 'requests-64', 'p99ms', 'haproxy', '≤', 0.3),
    ratio('new connections, warm', 'connect-warm', 'rps', 'haproxy', '≥', 6),
    ratio('new connections, warm', 'connect-warm', 'rps', 'direct', '≥', 0.35),
    ...ways.map((way) => ratio(`bulk ${way}, 1 conn`, `bulk-${way}-1`, 'gbps', 'envoy', '≥', 1.5)),
    ...ways.map((way) => ratio(`CPU per GB ${way}`, `bulk-${way}-1`, 'cpuPerGb', 'envoy', '≤', 0.7)),
    ratio('keep-alive rps, 64 conn', 'requests-64', 'rps', 'envoy', '≥', 1.5),
    ratio('new connections, warm', 'connect-warm', 'rps', 'envoy', '≥', 2),
    figure('idle connection, out', 'idle', 'bytesOut', 8, 'KB'),
    figure('idle connection, in', 'idle', 'bytesIn', 8, 'KB'),
    figure('memory at start, out', 'start', 'residentOut', 60, 'MB'),
    figure('memory at start, in', 'start', 'residentIn', 60, 'MB'),
    figure('large mesh: ready, out', 'mesh-large', 'readyOut', 5, 's'),
    figure('large mesh: ready, in', 'mesh-large', 'readyIn', 5, 's'),
    figure('large mesh: peak memory, out', 'mesh-large', 'peakOut', 400, 'MB'),
    figure('large mesh: peak memory, in', 'mesh-large', 'peakIn', 400, 'MB'),
    compare('CPU per connection, large mesh / small', meshRatio(results), '≤', 1.1, '×'),
  ]
}

/** Markdown. Floors that this run says nothing about are named as such. */
export function floorTable(all: readonly Floor[]): string {
  const rows = all.map(({ title, bound, verdict }) => [
    title,
    bound,
    verdict?.measured ?? '–',
    verdict === undefined ? 'not measured' : verdict.met ? 'met' : 'MISSED',
  ])
  return markdownTable(['floor (ours)', 'bound', 'measured', ''], rows)
}

type Sign = '≤' | '≥'

function compare(title: string, value: number | undefined, sign: Sign, bound: number, unit: string): Floor {
  const met = value !== undefined && (sign === '≥' ? value >= bound : value <= bound)
  const verdict = value === undefined ? undefined : { measured: `${value.toFixed(2)}${unit}`, met }
  return { title, bound: `${sign} ${bound}${unit}`, verdict }
}

function meshRatio(results: Results): number | undefined {
  const of = (measure: string) => results.figure(measure, 'cpuPerConnection', 'ours')?.median
  const [large, small] = [of('mesh-large'), of('mesh-small')]
  return large === undefined || small === undefined ? undefined : large / small
}
