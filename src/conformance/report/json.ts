import { isConformant, type Outcome } from '../suite.ts'
import { remark, summaryOf } from './summary.ts'

/** The whole run as JSON text: `target`, `conformant`, `summary`, and `checks` with all that is known of each. */
export function reportJson(target: string, outcomes: readonly Outcome[]): string {
  const checks = outcomes.map((outcome) => {
    const { check, finding, milliseconds } = outcome
    const { name, title, level, standsOn, explanation } = check
    return {
      name,
      level,
      result: finding.result,
      remark: remark(outcome),
      milliseconds,
      title,
      standsOn,
      explanation,
    }
  })
  const report = { target, conformant: isConformant(outcomes), summary: summaryOf(outcomes), checks }
  return `${JSON.stringify(report, undefined, 2)}\n`
}
