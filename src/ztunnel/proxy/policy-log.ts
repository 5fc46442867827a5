import { explainUnmatched, type Verdict } from '../../mesh/index.ts'
import type { ScopedLogger } from '../../telemetry/index.ts'
import { display } from '../../telemetry/index.ts'

/** Whose connection was judged, for the log. */
export interface Judged {
  readonly source: { readonly address: string; readonly identity?: string | undefined }
  readonly destination: { readonly address: string; readonly hboneAddress?: string | undefined }
}

/** Told of every verdict on a new connection. */
export type VerdictListener = (verdict: Verdict, judged: Judged) => void

/**
 * Writes each verdict with the texts of wire/ztunnel 8.11, dry-run policies
 * first, in the order of evaluation. `level` is `info` with
 * AUTHZ_POLICY_INFO_LOGGING. Ours besides `policy`: its rule, or the policies of
 * which none matched, and who asked for what.
 */
export function policyLog(log: ScopedLogger, level: 'debug' | 'info'): VerdictListener {
  return (verdict, { source, destination }) => {
    if (!log.isLevelEnabled(level)) return
    const connection = {
      'src.addr': display(source.address),
      'src.identity': source.identity,
      'dst.addr': display(destination.address),
      'dst.hbone_addr':
        destination.hboneAddress === undefined ? undefined : display(destination.hboneAddress),
    }
    for (const { message, ...why } of lines(verdict)) log[level](message, { ...why, ...connection })
  }
}

interface Line {
  readonly message: string
  readonly policy?: string | undefined
  readonly rule?: number | undefined
  readonly unmatched?: string | undefined
}

function* lines(verdict: Verdict): Iterable<Line> {
  const dryRun = verdict.dryRun ?? []
  for (const { action, matched, policy } of dryRun) {
    if (matched) yield { message: `dry-run: ${action.toLowerCase()} policy match`, policy }
  }
  const allows = dryRun.filter(({ action }) => action === 'ALLOW')
  if (allows.length > 0 && !allows.some(({ matched }) => matched)) {
    yield { message: 'dry-run: no allow policies match' }
  }
  const { reason, policy, rule, unmatched } = verdict
  const none = unmatched === undefined ? undefined : explainUnmatched(unmatched)
  yield { message: DECISIONS[reason], policy, rule, unmatched: none }
}

const DECISIONS: Readonly<Record<Verdict['reason'], string>> = {
  'explicitly-denied': 'deny policy match',
  'explicitly-allowed': 'allow policy match',
  'no-allow-policies': 'no allow policies, allow',
  'allow-policies-but-none-matched': 'no allow policies matched',
}
