import type { AuthorizationPolicy, PolicyMatch, ServiceKey, StringMatch } from '../model.ts'

/** What a policy is bound to (`targetRefs`). */
export type PolicyTarget =
  /** One service, or one host of a ServiceEntry. */
  | { readonly kind: 'service'; readonly service: ServiceKey }
  /** A waypoint, and so everything behind it. */
  | { readonly kind: 'gateway'; readonly namespace: string; readonly name: string }
  /** Every waypoint of a class. Policies of the root namespace alone. */
  | { readonly kind: 'gatewayClass'; readonly name: string }

/** A path: as other texts, or a template with `{*}` (one segment) and `{**}` (all that follows). */
export type PathMatch = StringMatch | { readonly kind: 'template'; readonly value: string }

/** A condition `request.headers[name]`. */
export interface HeaderMatch {
  /** In lower case. */
  readonly name: string
  readonly values: readonly StringMatch[]
  readonly notValues: readonly StringMatch[]
}

/**
 * What node proxies judge by, and what only a waypoint can. Field kinds
 * combine with AND; within one kind any positive value and no negative one
 * must hold.
 */
export interface HttpPolicyMatch extends PolicyMatch {
  /** Of the client's identity. */
  readonly trustDomains: readonly StringMatch[]
  readonly notTrustDomains: readonly StringMatch[]
  /** CIDR blocks. The client's address as a trusted gateway tells it; without one the source address. */
  readonly remoteIps: readonly string[]
  readonly notRemoteIps: readonly string[]
  /** `connection.sni` */
  readonly serverNames: readonly StringMatch[]
  readonly notServerNames: readonly StringMatch[]
  /** Of the request's authority, whatever its case, with the port if it has one. */
  readonly hosts: readonly StringMatch[]
  readonly notHosts: readonly StringMatch[]
  readonly methods: readonly StringMatch[]
  readonly notMethods: readonly StringMatch[]
  /** Of the normalized path, without the query. */
  readonly paths: readonly PathMatch[]
  readonly notPaths: readonly PathMatch[]
  readonly headers: readonly HeaderMatch[]
  /**
   * Fields that nothing here can judge by, as they are written: those of a
   * JWT, which nobody here verifies. With one, an ALLOW never matches, and a
   * DENY matches by its other fields alone: in doubt the request is refused.
   */
  readonly unsupported: readonly string[]
}

/**
 * An AuthorizationPolicy with targetRefs: enforced by the waypoints that it is
 * bound to, for connections and for the requests in them. OR over rules, AND
 * over a rule's clauses, OR over a clause's matches.
 */
export interface WaypointPolicy {
  readonly name: string
  readonly namespace: string
  readonly targets: readonly PolicyTarget[]
  readonly action: AuthorizationPolicy['action']
  /** Evaluated and reported, never enforced. */
  readonly dryRun: boolean
  readonly rules: readonly (readonly (readonly HttpPolicyMatch[])[])[]
}
