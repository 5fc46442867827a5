/**
 * Routes as a waypoint knows them: plain, frozen values. Fields and meanings
 * are the Gateway API's (gateway.networking.k8s.io/v1); a GRPCRoute is written
 * as the HTTP requests that its calls are. Durations are milliseconds.
 */
import type { ServiceKey } from '../model.ts'

export type Route = HttpRoute | TcpRoute

/** What a route is attached to. */
export type RouteParent =
  /** Requests that clients address to a Service, as GAMMA has it (GEP-1426). */
  | {
      readonly kind: 'service'
      readonly service: ServiceKey
      /** Of the Service; undefined: all. */
      readonly port: number | undefined
    }
  /** Requests to any Service behind a waypoint for which that Service has no route of its own. */
  | {
      readonly kind: 'gateway'
      readonly namespace: string
      readonly name: string
      readonly port: number | undefined
    }

interface RouteBase {
  readonly name: string
  readonly namespace: string
  /** RFC 3339, or empty: unknown, and so older than none. Orders routes of equal rank. */
  readonly creationTimestamp: string
  readonly parents: readonly RouteParent[]
}

export interface HttpRoute extends RouteBase {
  readonly kind: 'HTTPRoute' | 'GRPCRoute'
  /** In lower case, `*.` in front for a suffix. None: all. They count for Gateway parents alone. */
  readonly hostnames: readonly string[]
  readonly rules: readonly HttpRouteRule[]
}

export interface HttpRouteRule {
  readonly name: string | undefined
  /** OR over matches; within one, AND. Never empty: what matches all is a prefix of `/`. */
  readonly matches: readonly HttpRouteMatch[]
  readonly filters: readonly HttpFilter[]
  /** With none, or none of any weight, a request that is not redirected is answered by 500. */
  readonly backends: readonly HttpBackend[]
  readonly timeouts: HttpTimeouts
  /** Undefined: requests are sent once. */
  readonly retry: HttpRetry | undefined
}

export interface HttpTimeouts {
  /** From the request's arrival to the end of the response, all tries together; undefined: none. */
  readonly requestMs: number | undefined
  /** Of one try; undefined: none. */
  readonly backendRequestMs: number | undefined
}

export interface HttpRetry {
  /** Statuses that are tried again, besides connections that fail. */
  readonly codes: readonly number[]
  /** Tries after the first. */
  readonly attempts: number
  /** Least time before the first of them; undefined: the proxy's own. */
  readonly backoffMs: number | undefined
}

export interface HttpRouteMatch {
  readonly path: HttpPathMatch
  readonly headers: readonly HttpValueMatch[]
  readonly query: readonly HttpValueMatch[]
  /** Undefined: any. */
  readonly method: string | undefined
  /** Set in a GRPCRoute, whose rules are ranked by these. */
  readonly grpc?: GrpcMethodLength
}

/** Characters of the service's and the method's names, 0 where the match leaves one out. */
export interface GrpcMethodLength {
  readonly service: number
  readonly method: number
}

export interface HttpPathMatch {
  /** `prefix` is one of path segments; `regex` is RE2 and must match the whole path. */
  readonly kind: 'exact' | 'prefix' | 'regex'
  readonly value: string
}

/** A header (name in lower case) or query parameter (case counts). */
export interface HttpValueMatch {
  readonly kind: 'exact' | 'regex'
  readonly name: string
  readonly value: string
}

export interface HttpHeaderField {
  /** In lower case. */
  readonly name: string
  readonly value: string
}

export interface HttpHeaderModifier {
  readonly set: readonly HttpHeaderField[]
  readonly add: readonly HttpHeaderField[]
  readonly remove: readonly string[]
}

export type HttpPathModifier =
  | { readonly kind: 'full'; readonly value: string }
  /** In place of the prefix that the request was matched by. */
  | { readonly kind: 'prefix'; readonly value: string }

export type HttpFilter =
  | { readonly kind: 'RequestHeaderModifier'; readonly modifier: HttpHeaderModifier }
  | { readonly kind: 'ResponseHeaderModifier'; readonly modifier: HttpHeaderModifier }
  | {
      readonly kind: 'RequestRedirect'
      /** Undefined, here and below: as the request has it. */
      readonly scheme: 'http' | 'https' | undefined
      readonly hostname: string | undefined
      readonly path: HttpPathModifier | undefined
      readonly port: number | undefined
      readonly statusCode: number
    }
  | {
      readonly kind: 'URLRewrite'
      readonly hostname: string | undefined
      readonly path: HttpPathModifier | undefined
    }
  | {
      readonly kind: 'RequestMirror'
      readonly backend: BackendTarget
      /** So many of `denominator` requests are mirrored. */
      readonly numerator: number
      readonly denominator: number
    }
  /** A filter that must not be left out and cannot be applied: such requests are answered by 500. */
  | { readonly kind: 'Unsupported'; readonly reason: string }

export interface HttpBackend {
  readonly target: BackendTarget
  /** Share among the rule's backends, 0 to 1,000,000. */
  readonly weight: number
  /** Besides the rule's own, after them. */
  readonly filters: readonly HttpFilter[]
}

export type BackendTarget =
  | { readonly kind: 'service'; readonly service: ServiceKey; readonly port: number }
  /** Its share of requests is answered by 500, its share of TCP connections is refused. */
  | { readonly kind: 'invalid'; readonly reason: string }

export interface TcpRoute extends RouteBase {
  readonly kind: 'TCPRoute'
  readonly rules: readonly TcpRouteRule[]
}

export interface TcpRouteRule {
  readonly name: string | undefined
  readonly backends: readonly TcpBackend[]
}

export type TcpBackend = Pick<HttpBackend, 'target' | 'weight'>

/** `kind/namespace/name`: the resource name of a route. */
export function routeName({ kind, namespace, name }: Pick<Route, 'kind' | 'namespace' | 'name'>): string {
  return `${kind}/${namespace}/${name}`
}
