import { ADDRESS_TYPE, AUTHORIZATION_TYPE, ROUTE_TYPE, WAYPOINT_POLICY_TYPE } from './type-urls.ts'

/** Told of what istiod counts (`pilot_…`). Must not throw. */
export interface DeltaServerMetrics {
  /** One response: seconds from working it out until the connection took all of it. */
  pushed?(typeUrl: string, seconds: number): void
  /** A client has been sent everything again: seconds since the first change that it lacked. */
  converged?(seconds: number): void
  /** A client refused a response, or a part of it. */
  rejected?(typeUrl: string): void
}

/** The name that istiod's metrics have for a type. */
export function metricType(typeUrl: string): string {
  return SHORT_NAMES.get(typeUrl) ?? typeUrl
}

const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  [ADDRESS_TYPE, 'wds'],
  [AUTHORIZATION_TYPE, 'wads'],
  // Of our own types istiod knows nothing.
  [ROUTE_TYPE, 'routes'],
  [WAYPOINT_POLICY_TYPE, 'waypoint-policies'],
])
