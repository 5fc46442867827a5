import type { Check, Finding, Need } from './check.ts'
import { CheckContext, type Target } from './context.ts'
import { CheckFailure, errorText } from './errors.ts'

/** What became of one check. */
export interface Outcome {
  readonly check: Check
  readonly finding: Finding | { readonly result: 'not-run'; readonly why: string }
  readonly milliseconds: number
}

export interface RunOptions {
  readonly onOutcome?: (outcome: Outcome) => void
}

/**
 * Runs the checks: one after another, so that none disturbs the next; those
 * that wait for a timer of the target all the while beside them; and at the
 * end those that leave the target changed. Outcomes come in the checks' order.
 */
export async function runChecks(
  checks: readonly Check[],
  target: Target,
  { onOutcome = () => {} }: RunOptions = {},
): Promise<Outcome[]> {
  const outcomes = new Map<string, Outcome>()
  const run = async (check: Check): Promise<void> => {
    const outcome = await runCheck(check, target)
    outcomes.set(check.name, outcome)
    onOutcome(outcome)
  }
  const slow = checks.filter(({ patience, last }) => patience !== undefined && last !== true).map(run)
  for (const check of checks) if (check.patience === undefined && check.last !== true) await run(check)
  await Promise.all(slow)
  for (const check of checks) if (check.last === true) await run(check)
  return checks.flatMap(({ name }) => outcomes.get(name) ?? [])
}

/** Whether every `must` that was run has passed. */
export function isConformant(outcomes: readonly Outcome[]): boolean {
  return outcomes.every(({ check, finding }) => check.level !== 'must' || finding.result !== 'fail')
}

async function runCheck(check: Check, target: Target): Promise<Outcome> {
  const why = missing(check, target)
  if (why !== undefined) return { check, finding: { result: 'not-run', why }, milliseconds: 0 }
  const began = performance.now()
  using context = new CheckContext(target)
  const finding = await findingOf(check, context)
  return { check, finding, milliseconds: Math.round(performance.now() - began) }
}

async function findingOf(check: Check, context: CheckContext): Promise<Finding> {
  try {
    const finding = await check.run(context)
    const violation = context.violation()
    if (finding.result === 'fail' || violation === undefined) return finding
    return { result: 'fail', seen: violation }
  } catch (error) {
    if (!(error instanceof CheckFailure)) throw error
    return { result: 'fail', seen: errorText(error) }
  }
}

function missing({ needs = [], patience = 0 }: Check, target: Target): string | undefined {
  const absent = needs.find((need) => !HAS[need](target))
  if (absent !== undefined) return `needs ${OPTIONS[absent]}`
  return patience > target.patience ? `needs --patience ${patience}s` : undefined
}

const OPTIONS: Readonly<Record<Need, string>> = {
  authority: '--authority',
  application: '--echo',
  ca: 'a CA (--ca, or --certs with one)',
  denied: '--denied-authority',
  dead: '--dead-authority',
  proxy: '--proxy-authority and --echo',
  drain: '--drain-command',
}

const HAS: Readonly<Record<Need, (target: Target) => boolean>> = {
  authority: (target) => target.authority !== undefined,
  application: (target) => target.authority !== undefined && target.application !== undefined,
  ca: (target) => target.identity.hasCa,
  denied: (target) => target.deniedAuthority !== undefined,
  dead: (target) => target.deadAuthority !== undefined,
  proxy: (target) => target.proxyAuthority !== undefined && target.application !== undefined,
  drain: (target) => target.drain !== undefined,
}
