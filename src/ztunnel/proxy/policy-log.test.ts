import t from 'tap'
import type { Verdict } from '../../mesh/index.ts'
import { createLogger } from '../../telemetry/index.ts'
import { Lines } from '../../telemetry/test-support.ts'
import { policyLog } from './policy-log.ts'

const JUDGED = { source: { address: '10.0.0.5:4000' }, destination: { address: '10.0.0.9:15008' } }
const WHO = 'src.addr=10.0.0.5:4000 dst.addr=10.0.0.9:15008'

function written(verdict: Omit<Verdict, 'tree' | 'message' | 'allowed'>, level: 'debug' | 'info'): string[] {
  const destination = new Lines()
  const log = createLogger({ format: 'plain', level: 'info', destination }).scope('state')
  policyLog(log, level)({ ...verdict, allowed: true, message: '', tree: () => [] }, JUDGED)
  return destination.lines.map((line) => line.split('\t').slice(1).join('|').trim())
}

t.test('each verdict has its line (wire/ztunnel 8.11)', async (t) => {
  t.same(written({ reason: 'explicitly-denied', policy: 'ns/deny', rule: 2 }, 'info'), [
    `info|state|deny policy match|policy="ns/deny" rule=2 ${WHO}`,
  ])
  t.same(written({ reason: 'explicitly-allowed', policy: 'ns/allow', rule: 1 }, 'info'), [
    `info|state|allow policy match|policy="ns/allow" rule=1 ${WHO}`,
  ])
  t.same(written({ reason: 'no-allow-policies', policy: undefined, rule: undefined }, 'info'), [
    `info|state|no allow policies, allow|${WHO}`,
  ])
  t.same(
    written(
      {
        reason: 'allow-policies-but-none-matched',
        policy: undefined,
        rule: undefined,
        unmatched: { names: ['ns/a', 'ns/b'], total: 3 },
      },
      'info',
    ),
    [`info|state|no allow policies matched|unmatched="ns/a, ns/b and 1 more" ${WHO}`],
  )
})

t.test('dry-run policies are reported beside the decision', async (t) => {
  const deny = { policy: 'ns/try-deny', action: 'DENY', matched: true } as const
  const allow = { policy: 'ns/try-allow', action: 'ALLOW', matched: false } as const
  const base = { reason: 'no-allow-policies', policy: undefined, rule: undefined } as const
  t.same(written({ ...base, dryRun: [deny, allow] }, 'info'), [
    `info|state|dry-run: deny policy match|policy="ns/try-deny" ${WHO}`,
    `info|state|dry-run: no allow policies match|${WHO}`,
    `info|state|no allow policies, allow|${WHO}`,
  ])
  t.match(
    written({ ...base, dryRun: [{ ...allow, matched: true }] }, 'info')[0],
    'dry-run: allow policy match',
  )
})

t.test('without AUTHZ_POLICY_INFO_LOGGING they are debug lines', async (t) => {
  t.same(written({ reason: 'no-allow-policies', policy: undefined, rule: undefined }, 'debug'), [])
})
