import type { Level } from '../check.ts'
import type { Outcome } from '../suite.ts'

/** How the checks of one level came out. */
export interface LevelSummary {
  readonly level: Level
  readonly passed: number
  readonly failed: number
  /** Not run, or not applicable. */
  readonly skipped: number
}

const LEVELS: readonly Level[] = ['must', 'should', 'ours']

export function summaryOf(outcomes: readonly Outcome[]): readonly LevelSummary[] {
  return LEVELS.map((level) => {
    const results = outcomes.filter(({ check }) => check.level === level).map(({ finding }) => finding.result)
    const passed = results.filter((result) => result === 'pass').length
    const failed = results.filter((result) => result === 'fail').length
    return { level, passed, failed, skipped: results.length - passed - failed }
  })
}

/** What was seen, or why nothing was. */
export function remark({ finding }: Outcome): string {
  return 'why' in finding ? finding.why : (finding.seen ?? '')
}
