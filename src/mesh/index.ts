export {
  type AddressWords,
  addressFamily,
  type Cidr,
  canonicalAddress,
  cidrContains,
  formatHostPort,
  formatSocketAddress,
  isAddress,
  isLoopback,
  parseAddress,
  parseCidr,
} from './addresses.ts'
export { authorize } from './authorize.ts'
export {
  explainDecision,
  explainPolicies,
  explainRoute,
  explainSteps,
  explainSubject,
  explainUnmatched,
  explainVerdict,
  routeOutcome,
} from './explain.ts'
export { type ExplainInput, explainConnection } from './explain-connection.ts'
export { type EndpointCandidate, explainEndpoints, type LoadBalanceChoice } from './explain-endpoints.ts'
export type { ExplainedArrival, ExplainedRoute, Explanation } from './explanation.ts'
export {
  type Hairpin,
  type HairpinClient,
  isServedPeer,
  type ResolveHairpinInput,
  resolveHairpin,
} from './hairpin.ts'
export { identityPrincipal, identityUri, sameIdentity, workloadIdentity } from './identity.ts'
export { guessService, type InboundRoute, type ResolveInboundInput, resolveInbound } from './inbound.ts'
export type { MeshChange, MeshListener, MeshUpdate } from './mesh-change.ts'
export { MeshStore, type MeshStoreOptions } from './mesh-store.ts'
export type { Endpoint, MeshView } from './mesh-view.ts'
export { MissedLookups } from './missed-lookups.ts'
export type * from './model.ts'
export { formatGateway, policyName, serviceKey } from './names.ts'
export { type ResolveOutboundInput, resolveOutbound } from './resolve.ts'
export type * from './route.ts'
export { HBONE_PORT, withResolvedAddress } from './routes.ts'
export { bestService } from './service-index.ts'
export type * from './verdict.ts'
export { type ForwardInput, resolveForward, resolvePodForward } from './waypoint-forward.ts'
export {
  type ResolveWaypointTargetInput,
  resolveWaypointTarget,
  servesService,
  type WaypointTarget,
} from './waypoint-target.ts'
