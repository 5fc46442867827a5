/** What several rounds gave. */
export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
  /** How many rounds. */
  readonly count: number
}

/** Median with the extremes; undefined of nothing. Of an even number, the mean of the middle two. */
export function summarize(values: readonly number[]): Summary | undefined {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b)
  const [min, max] = [sorted[0], sorted.at(-1)]
  if (min === undefined || max === undefined) return undefined
  const upper = sorted[Math.floor(sorted.length / 2)] ?? min
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? min
  return { median: (lower + upper) / 2, min, max, count: sorted.length }
}

/**
 * The value that so many of the sorted ones do not exceed, by nearest rank; NaN
 * of nothing. `share` is 0 to 1: 0.99 for p99.
 */
export function percentile(sorted: readonly number[], share: number): number {
  const rank = Math.max(1, Math.ceil(share * sorted.length))
  return sorted[rank - 1] ?? Number.NaN
}
