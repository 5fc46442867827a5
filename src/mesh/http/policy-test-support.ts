import { EMPTY_HTTP_MATCH } from './empty-match.ts'
import type { WaypointPolicyContext } from './http-subject.ts'
import type { HttpPolicyMatch, WaypointPolicy } from './policy-model.ts'
import type { HttpRequestHead } from './request.ts'

/** A match of a waypoint's policy with nothing in it but what the test gives. */
export function aWaypointMatch(overrides: Partial<HttpPolicyMatch> = {}): HttpPolicyMatch {
  return { ...EMPTY_HTTP_MATCH, ...overrides }
}

/** ALLOW, bound to `Gateway default/waypoint`, without rules. */
export function aWaypointPolicy(overrides: Partial<WaypointPolicy> = {}): WaypointPolicy {
  return {
    name: 'policy',
    namespace: 'default',
    targets: [{ kind: 'gateway', namespace: 'default', name: 'waypoint' }],
    action: 'ALLOW',
    dryRun: false,
    rules: [],
    ...overrides,
  }
}

/** `GET /` of `server.example`, without headers. */
export function aRequest(overrides: Partial<HttpRequestHead> = {}): HttpRequestHead {
  return { method: 'GET', scheme: 'http', authority: 'server.example', path: '/', headers: [], ...overrides }
}

/** From `cluster.local/ns/from/sa/acct` at 10.0.0.1 to port 80 of 10.96.0.1. */
export const FROM_CLIENT: WaypointPolicyContext = {
  sourceIdentity: { trustDomain: 'cluster.local', namespace: 'from', serviceAccount: 'acct' },
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.96.0.1',
  destinationPort: 80,
}
