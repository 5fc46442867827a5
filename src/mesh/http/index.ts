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
