import type { HttpFilter, HttpRetry, HttpRouteMatch, HttpTimeouts } from '../../mesh/http/route-model.ts'
import type { ObjectMeta } from './objects.ts'

/** What a route says that it is attached to. */
export interface ParentReference {
  /** `gateway.networking.k8s.io` where the YAML has none; empty for a Service. */
  readonly group: string
  readonly kind: string
  readonly name: string
  /** Undefined: the route's. */
  readonly namespace: string | undefined
  /** A port's name, of a Service; a listener's, of a Gateway. */
  readonly sectionName: string | undefined
  readonly port: number | undefined
}

/** Where a route sends requests or connections. */
export interface BackendReference {
  /** Empty: Kubernetes' own, that of a Service. */
  readonly group: string
  readonly kind: string
  readonly name: string
  /** Undefined: the route's. */
  readonly namespace: string | undefined
  readonly port: number | undefined
}

export interface WeightedBackend {
  readonly reference: BackendReference
  readonly weight: number
  readonly filters: readonly RouteFilter[]
}

/** A filter, before the backend of a mirror is looked up. */
export type RouteFilter =
  | Exclude<HttpFilter, { kind: 'RequestMirror' }>
  | {
      readonly kind: 'RequestMirror'
      readonly reference: BackendReference
      readonly numerator: number
      readonly denominator: number
    }

export interface RouteRule {
  readonly name: string | undefined
  readonly matches: readonly HttpRouteMatch[]
  readonly filters: readonly RouteFilter[]
  readonly backends: readonly WeightedBackend[]
  readonly timeouts: HttpTimeouts
  readonly retry: HttpRetry | undefined
  /** It is asked for, and not done. */
  readonly sessionPersistence: boolean
}

/** `gateway.networking.k8s.io` HTTPRoute or GRPCRoute; the latter's calls are written as the requests that they are. */
export interface HttpRouteObject<K extends 'HTTPRoute' | 'GRPCRoute' = 'HTTPRoute' | 'GRPCRoute'> {
  readonly kind: K
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly parentRefs: readonly ParentReference[]
    /** In lower case. */
    readonly hostnames: readonly string[]
    readonly rules: readonly RouteRule[]
  }
}

/** `gateway.networking.k8s.io` TCPRoute. */
export interface TcpRouteObject {
  readonly kind: 'TCPRoute'
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly parentRefs: readonly ParentReference[]
    readonly rules: readonly Pick<RouteRule, 'name' | 'backends'>[]
  }
}

export type RouteObject = HttpRouteObject | TcpRouteObject

/** `gateway.networking.k8s.io` ReferenceGrant: what other namespaces may refer to in this one. */
export interface ReferenceGrant {
  readonly kind: 'ReferenceGrant'
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly from: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[]
    /** Without a name: all of the kind. */
    readonly to: readonly {
      readonly group: string
      readonly kind: string
      readonly name: string | undefined
    }[]
  }
}
