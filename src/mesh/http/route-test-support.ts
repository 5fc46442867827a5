import type { HttpRequestHead } from './request.ts'
import type {
  HttpBackend,
  HttpRoute,
  HttpRouteMatch,
  HttpRouteRule,
  RouteParent,
  TcpRoute,
} from './route-model.ts'

/** `default/echo`, port 80 of it unless another is given. */
export const ECHO = 'default/echo.default.svc.cluster.local'

/** A GET of `/` at `echo`, overridden as the test needs. */
export function aRequest(overrides: Partial<HttpRequestHead> = {}): HttpRequestHead {
  return { method: 'GET', scheme: 'http', authority: 'echo', path: '/', headers: [], ...overrides }
}

/** All ports of the Service `echo`, overridden as the test needs. */
export function aParent(overrides: Partial<Extract<RouteParent, { kind: 'service' }>> = {}): RouteParent {
  return { kind: 'service', service: ECHO, port: undefined, ...overrides }
}

/** Matches all, overridden as the test needs. */
export function anHttpMatch(overrides: Partial<HttpRouteMatch> = {}): HttpRouteMatch {
  return { path: { kind: 'prefix', value: '/' }, headers: [], query: [], method: undefined, ...overrides }
}

/** Port 80 of `default/<name>`, of weight 1. */
export function aBackend(name: string, overrides: Partial<HttpBackend> = {}): HttpBackend {
  const service = `default/${name}.default.svc.cluster.local` as const
  return { target: { kind: 'service', service, port: 80 }, weight: 1, filters: [], ...overrides }
}

/** Sends everything to `echo-v1`, overridden as the test needs. */
export function aRule(overrides: Partial<HttpRouteRule> = {}): HttpRouteRule {
  return {
    name: undefined,
    matches: [anHttpMatch()],
    filters: [],
    backends: [aBackend('echo-v1')],
    timeouts: { requestMs: undefined, backendRequestMs: undefined },
    retry: undefined,
    ...overrides,
  }
}

/** HTTPRoute `default/route` of the Service `echo`, overridden as the test needs. */
export function anHttpRoute(overrides: Partial<HttpRoute> = {}): HttpRoute {
  return {
    kind: 'HTTPRoute',
    name: 'route',
    namespace: 'default',
    creationTimestamp: '',
    parents: [aParent()],
    hostnames: [],
    rules: [aRule()],
    ...overrides,
  }
}

/** TCPRoute `default/route` of the Service `echo` to `echo-v1`, overridden as the test needs. */
export function aTcpRoute(overrides: Partial<TcpRoute> = {}): TcpRoute {
  const { target, weight } = aBackend('echo-v1')
  return {
    kind: 'TCPRoute',
    name: 'route',
    namespace: 'default',
    creationTimestamp: '',
    parents: [aParent()],
    rules: [{ name: undefined, backends: [{ target, weight }] }],
    ...overrides,
  }
}
