import type { Check } from '../check.ts'
import { isConformant, type Outcome } from '../suite.ts'
import { remark, summaryOf } from './summary.ts'

/** One line for each check, what failed once more with its explanation, and the totals. */
export function tableText(outcomes: readonly Outcome[]): string {
  const width = Math.max(...outcomes.map(({ check }) => check.name.length), 0)
  const lines = outcomes.map((outcome) =>
    `${MARKS[outcome.finding.result]}  ${outcome.check.level.padEnd(6)}  ${outcome.check.name.padEnd(width)}  ${remark(outcome)}`.trimEnd(),
  )
  const failures = outcomes.filter(({ finding }) => finding.result === 'fail').map(failureText)
  const totals = summaryOf(outcomes).map(
    ({ level, passed, failed, skipped }) =>
      `${level}: ${passed} passed, ${failed} failed, ${skipped} not run`,
  )
  const verdict = isConformant(outcomes) ? 'No must has failed.' : 'At least one must has failed.'
  return `${[...lines, '', ...failures, ...totals, verdict].join('\n')}\n`
}

/** What there is to run. */
export function listText(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length), 0)
  return checks
    .map(({ name, level, title }) => `${level.padEnd(6)}  ${name.padEnd(width)}  ${title}\n`)
    .join('')
}

function failureText(outcome: Outcome): string {
  const { name, level, title, standsOn, explanation } = outcome.check
  return `${name} (${level}): ${title}\n  seen: ${remark(outcome)}\n  stands on: ${standsOn}\n  ${explanation}\n`
}

const MARKS = { pass: 'pass', fail: 'FAIL', 'not-applicable': 'n/a ', 'not-run': '-   ' } as const
