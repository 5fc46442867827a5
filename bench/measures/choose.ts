import { type BenchOptions, OptionsError } from '../options.ts'
import type { Measure } from './measure.ts'

/**
 * The measures that the options ask for, in their own order: by name, or by the
 * beginning of several names; without any, all, or those of `--quick`. Throws
 * OptionsError for a name that none has.
 */
export function chooseMeasures(
  all: readonly Measure[],
  { measures: wanted, quick }: Pick<BenchOptions, 'measures' | 'quick'>,
): readonly Measure[] {
  if (wanted.length === 0) return all.filter((measure) => !quick || measure.quick === true)
  const names = new Set(wanted.flatMap((text) => matching(all, text)))
  return all.filter(({ name }) => names.has(name))
}

function matching(all: readonly Measure[], wanted: string): readonly string[] {
  const names = all.map(({ name }) => name)
  // `bulk-up-1` is no beginning of `bulk-up-16`.
  const found = names.includes(wanted) ? [wanted] : names.filter((name) => name.startsWith(wanted))
  if (found.length > 0) return found
  throw new OptionsError(`--measures: there is no ${wanted}; there is ${names.join(', ')}`)
}
