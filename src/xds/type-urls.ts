/** Workloads and services: `istio.workload.Address`. */
export const ADDRESS_TYPE = 'type.googleapis.com/istio.workload.Address'
/** L4 policies: `istio.security.Authorization`. */
export const AUTHORIZATION_TYPE = 'type.googleapis.com/istio.security.Authorization'
/** Routes, to waypoints of this project alone: `ztunnel.waypoint.Route`. */
export const ROUTE_TYPE = 'type.googleapis.com/ztunnel.waypoint.Route'
/** Policies with their L7 fields, to waypoints of this project alone: `ztunnel.waypoint.Policy`. */
export const WAYPOINT_POLICY_TYPE = 'type.googleapis.com/ztunnel.waypoint.Policy'
