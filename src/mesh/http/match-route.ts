import type { RouteStep } from '../route.ts'
import type { HttpRequestHead } from './request.ts'
import { candidatesOf, RequestView, type RouteCandidate } from './route-candidate.ts'
import type { HttpRoute, HttpRouteMatch, HttpRouteRule } from './route-model.ts'
import { compareCandidates } from './route-precedence.ts'
import type { ApplicableRoutes } from './route-table.ts'

/** The routes of one port that are HTTP's. */
export type HttpRoutes = Extract<ApplicableRoutes, { kind: 'HTTPRoute' | 'GRPCRoute' }>

export type RouteMatch =
  | {
      readonly kind: 'matched'
      readonly route: HttpRoute
      readonly rule: HttpRouteRule
      /** From 0. */
      readonly ruleIndex: number
      readonly match: HttpRouteMatch
      readonly steps: readonly RouteStep[]
    }
  /** To be answered by 404: routes take the place of the Service's own way (GEP-1426). */
  | { readonly kind: 'unmatched'; readonly steps: readonly RouteStep[] }

export interface MatchOptions {
  /** Whether to say of each match that was passed over why. Default false: it costs time. */
  readonly trace?: boolean
}

/** Matches requests against routes. Keeps what it compiled for as long as the routes are in use. */
export class RouteMatcher {
  readonly #compiled = new WeakMap<HttpRoutes, CompiledRoutes>()

  /** Pure. Steps: `route-lookup`, then `route-mismatch` with `trace`, then `route-match`. */
  match(routes: HttpRoutes, head: HttpRequestHead, { trace = false }: MatchOptions = {}): RouteMatch {
    const compiled = this.#compile(routes)
    const request = new RequestView(head)
    const passedOver: RouteStep[] = []
    for (const { candidate, steps } of compiled.candidates) {
      const failed = candidate.conditions.find((condition) => !condition.test(request))
      if (failed === undefined) {
        const { route, rule, ruleIndex, match } = candidate
        return { kind: 'matched', route, rule, ruleIndex, match, steps: withTrace(steps, passedOver) }
      }
      if (trace) passedOver.push(mismatch(candidate, failed.description))
    }
    return { kind: 'unmatched', steps: withTrace(compiled.unmatched, passedOver) }
  }

  #compile(routes: HttpRoutes): CompiledRoutes {
    const known = this.#compiled.get(routes)
    if (known !== undefined) return known
    const compiled = compile(routes)
    this.#compiled.set(routes, compiled)
    return compiled
  }
}

interface CompiledRoutes {
  /** Best first; the steps are those of a request that it matches. */
  readonly candidates: readonly { readonly candidate: RouteCandidate; readonly steps: readonly RouteStep[] }[]
  readonly unmatched: readonly RouteStep[]
}

const WHOSE = {
  producer: "of the Service's namespace",
  consumer: "of the client's namespace",
  gateway: 'of the waypoint',
} as const

function compile(routes: HttpRoutes): CompiledRoutes {
  const candidates = routes.routes
    .flatMap((route) => candidatesOf(route, routes.via === 'gateway'))
    .sort(compareCandidates)
  const lookup = {
    step: 'route-lookup',
    detail: `${routes.routes.length} ${routes.kind} ${WHOSE[routes.via]} with ${candidates.length} matches in all`,
  }
  return {
    candidates: candidates.map((candidate) => ({
      candidate,
      steps: [lookup, { step: 'route-match', detail: candidate.description }],
    })),
    unmatched: [lookup, { step: 'route-match', detail: 'none matches the request: 404' }],
  }
}

function mismatch({ description }: RouteCandidate, condition: string): RouteStep {
  return { step: 'route-mismatch', detail: `${description}: not ${condition}` }
}

/** What was passed over stands between the lookup and the match. */
function withTrace(steps: readonly RouteStep[], passedOver: readonly RouteStep[]): readonly RouteStep[] {
  return passedOver.length === 0 ? steps : [...steps.slice(0, 1), ...passedOver, ...steps.slice(1)]
}
