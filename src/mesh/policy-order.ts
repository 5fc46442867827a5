import type { Judged } from './decide.ts'

/**
 * Policies in the order in which they are evaluated: dry-run DENY, enforced
 * DENY, dry-run ALLOW, enforced ALLOW (wire/ztunnel 8.3). Those of one kind stay
 * in the order given. The same list when it is in order already.
 */
export function inOrder<P extends Judged>(policies: readonly P[]): readonly P[] {
  return isInOrder(policies) ? policies : policies.toSorted((a, b) => turn(a) - turn(b))
}

/** Found out by looking: a store keeps its lists in order, and a connection should not pay for a sort. */
function isInOrder(policies: readonly Judged[]): boolean {
  let last = 0
  for (const policy of policies) {
    const own = turn(policy)
    if (own < last) return false
    last = own
  }
  return true
}

function turn(policy: Judged): number {
  return (policy.action === 'DENY' ? 0 : 2) + (policy.dryRun ? 0 : 1)
}
