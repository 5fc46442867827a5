import type { RouteStep } from '../route.ts'
import { chooseBackend, describeBackend } from './choose-backend.ts'
import { filterRequest, type MirroredRequest } from './filters.ts'
import type { HttpRoutes, MatchOptions, RouteMatch, RouteMatcher } from './match-route.ts'
import type { HttpRequestHead } from './request.ts'
import type {
  BackendTarget,
  HttpFilter,
  HttpRetry,
  HttpRoute,
  HttpRouteRule,
  HttpTimeouts,
} from './route-model.ts'

export interface PlanInput extends MatchOptions {
  readonly head: HttpRequestHead
  /** Of the Service, that the client asked for. */
  readonly port: number
  /** 0 ≤ x < 1. */
  readonly random: () => number
}

interface Planned {
  /** `route-lookup`, `route-match`, `filter`, `backend-choice`. */
  readonly steps: readonly RouteStep[]
  /** Undefined when no rule matched. */
  readonly route: HttpRoute | undefined
  readonly rule: HttpRouteRule | undefined
}

/** What routes make of a request. */
export type RequestPlan =
  | (Planned & {
      readonly kind: 'forward'
      /** As the backend is to get it. */
      readonly head: HttpRequestHead
      readonly target: Extract<BackendTarget, { kind: 'service' }>
      readonly mirrors: readonly MirroredRequest[]
      /** For `filterResponse`. */
      readonly responseFilters: readonly HttpFilter[]
      readonly timeouts: HttpTimeouts
      readonly retry: HttpRetry | undefined
    })
  /** To be answered here: 404, a redirect, or 500; 503 in place of the latter by a GRPCRoute. */
  | (Planned & {
      readonly kind: 'respond'
      readonly status: number
      readonly location: string | undefined
      /** They get the request all the same. */
      readonly mirrors: readonly MirroredRequest[]
      readonly responseFilters: readonly HttpFilter[]
    })

/** Decides what becomes of a request: match, filters, backend. Pure but for `random`. */
export function planRequest(matcher: RouteMatcher, routes: HttpRoutes, input: PlanInput): RequestPlan {
  const found = matcher.match(routes, input.head, input)
  if (found.kind === 'unmatched') {
    const none = { route: undefined, rule: undefined, mirrors: [], responseFilters: [] }
    return { kind: 'respond', status: 404, location: undefined, steps: found.steps, ...none }
  }
  return planMatched(found, input)
}

type Matched = Extract<RouteMatch, { kind: 'matched' }>

function planMatched(found: Matched, input: PlanInput): RequestPlan {
  const { route, rule, match } = found
  const filtered = filterRequest(rule.filters, { ...input, match })
  const before: Progress = {
    found,
    steps: [...found.steps, ...filtered.steps],
    mirrors: filtered.mirrors,
    responseFilters: rule.filters,
  }
  if (filtered.kind === 'respond') return respond(before, filtered)
  const backend = chooseBackend(rule.backends, input.random)
  if (backend === undefined) return withoutBackend(before, 'the rule has no backend of any weight')
  const description = describeBackend(backend, rule.backends)
  if (backend.target.kind === 'invalid') return withoutBackend(before, description)
  const again = filterRequest(backend.filters, { ...input, head: filtered.head, match })
  const chosen = withStep(before, description)
  const after: Progress = {
    found,
    steps: [...chosen.steps, ...again.steps],
    mirrors: [...before.mirrors, ...again.mirrors],
    responseFilters: [...rule.filters, ...backend.filters],
  }
  if (again.kind === 'respond') return respond(after, again)
  const { steps, mirrors, responseFilters } = after
  const { timeouts, retry } = rule
  const to = { head: again.head, target: backend.target }
  return { kind: 'forward', route, rule, ...to, steps, mirrors, responseFilters, timeouts, retry }
}

/** How far a request has come. */
interface Progress {
  readonly found: Matched
  readonly steps: readonly RouteStep[]
  readonly mirrors: readonly MirroredRequest[]
  readonly responseFilters: readonly HttpFilter[]
}

function withStep(progress: Progress, detail: string): Progress {
  return { ...progress, steps: [...progress.steps, { step: 'backend-choice', detail }] }
}

/** HTTP clients are told 500. gRPC's are to be told UNAVAILABLE, which is what 503 is to them. */
function withoutBackend(progress: Progress, reason: string): RequestPlan {
  const status = progress.found.route.kind === 'GRPCRoute' ? 503 : 500
  return respond(withStep(progress, `${reason}: ${status}`), { status, location: undefined })
}

function respond(
  { found: { route, rule }, ...rest }: Progress,
  { status, location }: { readonly status: number; readonly location: string | undefined },
): RequestPlan {
  return { kind: 'respond', route, rule, ...rest, status, location }
}
