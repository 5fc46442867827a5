import type { RoutingScope, Workload } from './model.ts'

/** How close an endpoint is to a client. */
export interface RoutingRank {
  /** Higher is closer; comparable only within one preference list. */
  readonly rank: number
  /** Whether every scope of the list matches. */
  readonly full: boolean
}

/**
 * Ranks an endpoint by the longest prefix of `preference` that it shares with
 * the client (wire/ztunnel 3.11). With NETWORK first, another network does not
 * end the comparison but ranks below the same one: of [NETWORK, REGION, ZONE]
 * all > network and region > network > region and zone > region > none.
 */
export function routingRank(
  preference: readonly RoutingScope[],
  source: Workload,
  endpoint: Workload,
): RoutingRank {
  const networkFirst = preference[0] === 'NETWORK'
  let matches = 0
  for (const [position, scope] of preference.entries()) {
    if (sharesScope(scope, source, endpoint)) matches++
    else if (!(networkFirst && position === 0)) break
  }
  const sameNetwork = networkFirst && sharesScope('NETWORK', source, endpoint)
  const bonus = sameNetwork ? preference.length - 1 : 0
  return { rank: matches + bonus, full: matches === preference.length }
}

/** Each scope stands alone: zone `a` of one region equals zone `a` of another, and empty equals empty. */
function sharesScope(scope: RoutingScope, a: Workload, b: Workload): boolean {
  switch (scope) {
    case 'REGION':
      return a.locality.region === b.locality.region
    case 'ZONE':
      return a.locality.zone === b.locality.zone
    case 'SUBZONE':
      return a.locality.subzone === b.locality.subzone
    case 'NODE':
      return a.node === b.node
    case 'CLUSTER':
      return a.clusterId === b.clusterId
    case 'NETWORK':
      return a.network === b.network
  }
}
