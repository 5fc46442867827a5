export { AddressHandler, type MeshTarget } from './address-handler.ts'
export {
  AdsClient,
  type AdsClientOptions,
  type AdsMetrics,
  type AdsNode,
  type AdsState,
  type AdsStatus,
  MAX_MESSAGE_BYTES,
} from './ads-client.ts'
export { AuthorizationHandler } from './authorization-handler.ts'
export type { TerminationReason } from './backoff.ts'
export type { SubscriptionStatus } from './client-type.ts'
export { type DecodedAddress, decodeAddress, decodeAuthorization } from './decode.ts'
export { decodeRoute } from './decode-route.ts'
export { decodeWaypointPolicy } from './decode-waypoint-policy.ts'
export { type DeltaServerMetrics, metricType } from './delta-metrics.ts'
export { adsRoutes, type ConnectedProxy, DeltaServer, type DeltaServerOptions } from './delta-server.ts'
export { encodeAuthorization, encodeService, encodeWorkload } from './encode.ts'
export { encodeRoute } from './encode-route.ts'
export { encodeWaypointPolicy } from './encode-waypoint-policy.ts'
export { XdsError, type XdsErrorCode } from './errors.ts'
export type { ResourceBatch, ResourceHandler } from './handler.ts'
export { Interner } from './interner.ts'
export type { LocalMesh, LocalMeshOptions, LocalMeshSource } from './local/index.ts'
export type { XdsLog } from './log.ts'
export { type EncodedMesh, MeshEncoder } from './mesh-encoder.ts'
export { meshResources } from './mesh-resources.ts'
export type { ProvenCaller } from './node-rules.ts'
export { peerAddress } from './peer-address.ts'
export type { CachedResource, NewResource } from './resource.ts'
export { ResourceCache } from './resource-cache.ts'
export { diffResources, type FieldChange, type ResourceChange } from './resource-diff.ts'
export { type ReadableResource, type ResourceKind, readableResources } from './resource-json.ts'
export { RouteHandler, type RouteTarget } from './route-handler.ts'
export type { Source, SourceProblem, SourceSnapshot, SourceStatus } from './source.ts'
export type { TypeStatus } from './type-state.ts'
export { ADDRESS_TYPE, AUTHORIZATION_TYPE, ROUTE_TYPE, WAYPOINT_POLICY_TYPE } from './type-urls.ts'
export { WaypointPolicyHandler, type WaypointPolicyTarget } from './waypoint-policy-handler.ts'
