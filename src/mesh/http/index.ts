export { authorizeHttp } from './authorize-http.ts'
export { chooseBackend, describeBackend } from './choose-backend.ts'
export { CompiledWaypointPolicy } from './compiled-waypoint-policy.ts'
export {
  type FilteredRequest,
  type FilterInput,
  filterRequest,
  filterResponse,
  type MirroredRequest,
} from './filters.ts'
export { applyHeaderModifier, isFieldName, isFieldValue, isFramingHeader } from './header-modifier.ts'
export type { WaypointPolicyContext } from './http-subject.ts'
export { type HttpRoutes, type MatchOptions, type RouteMatch, RouteMatcher } from './match-route.ts'
export { DEFAULT_PATH_NORMALIZATION, normalizePath, type PathNormalization } from './normalize-path.ts'
export { isPathTemplate, parsePathTemplate } from './path-template.ts'
export { compilePattern, MAX_PATTERN_INSTRUCTIONS, type Pattern } from './pattern.ts'
export { type ConnectionPlan, planConnection, type TcpRoutes } from './plan-connection.ts'
export { type PlanInput, planRequest, type RequestPlan } from './plan-request.ts'
export type * from './policy-model.ts'
export { type PolicyChanges, type PolicyQuery, WaypointPolicyTable } from './policy-table.ts'
export {
  type HttpHeaders,
  type HttpRequestHead,
  headerValue,
  headerValues,
  hostOf,
  splitPath,
} from './request.ts'
export type * from './route-model.ts'
export { routeName } from './route-model.ts'
export { compareRoutes } from './route-order.ts'
export {
  type ApplicableRoutes,
  type RouteChanges,
  type RouteQuery,
  RouteTable,
  type RouteVia,
} from './route-table.ts'
