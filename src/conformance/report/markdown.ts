import type { Outcome } from '../suite.ts'
import { remark, summaryOf } from './summary.ts'

/** A score card: the totals, and a row for each check. `title` is a heading of level three. */
export function scoreCard(title: string, outcomes: readonly Outcome[]): string {
  const totals = summaryOf(outcomes).map(
    ({ level, passed, failed, skipped }) => `| ${level} | ${passed} | ${failed} | ${skipped} |`,
  )
  const rows = outcomes.map((outcome) => {
    const { check, finding } = outcome
    const cells = [
      check.name,
      check.title,
      check.level,
      MARKS[finding.result],
      remark(outcome),
      check.standsOn,
    ]
    return `| ${cells.map(cell).join(' | ')} |`
  })
  return [
    `### ${title}`,
    '',
    '| level | passed | failed | not run |',
    '|---|---|---|---|',
    ...totals,
    '',
    '| check | the target … | level | result | seen | stands on |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('\r', ' ')
}

const MARKS = {
  pass: 'pass',
  fail: '**fail**',
  'not-applicable': 'not applicable',
  'not-run': 'not run',
} as const
