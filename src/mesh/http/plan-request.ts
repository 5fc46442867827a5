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
  /** To be answered here: 404, a redirect, or 500. */
  | (Planned & {
      readonly kind: 'respond'
      readonly status: number
      readonly location: string | undefined
      /** Of a call that a GRPCRoute answers: the code in place of the status; UNIMPLEMENTED or UNAVAILABLE. */
      readonly grpcStatus: 12 | 14 | undefined
      /** They get the request all the same. */
      readonly mirrors: readonly MirroredRequest[]
      readonly responseFilters: readonly HttpFilter[]
    })

/** Decides what becomes of a request: match, filters, backend. Pure but for `random`. */
export function planRequest(matcher: RouteMatcher, routes: HttpRoutes, input: PlanInput): RequestPlan {
  const found = matcher.match(routes, input.head, input)
  if (found.kind === 'unmatched') {
    const grpcStatus = routes.kind === 'GRPCRoute' ? GRPC_UNIMPLEMENTED : undefined
    const none = { route: undefined, rule: undefined, mirrors: [], responseFilters: [] }
    return { kind: 'respond', status: 404, location: undefined, grpcStatus, steps: found.steps, ...none }
  }
  return planMatched(found, input)
}

/** Status codes of gRPC (doc/statuscodes.md): a proxy says 404 and 503 by these. */
const GRPC_UNIMPLEMENTED = 12
const GRPC_UNAVAILABLE = 14

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
  if (backend === undefined) {
    return respond(withStep(before, 'the rule has no backend of any weight: 500'), BROKEN)
  }
  const description = describeBackend(backend, rule.backends)
  if (backend.target.kind === 'invalid') return respond(withStep(before, `${description}: 500`), BROKEN)
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

const BROKEN = { status: 500, location: undefined }

function withStep(progress: Progress, detail: string): Progress {
  return { ...progress, steps: [...progress.steps, { step: 'backend-choice', detail }] }
}

function respond(
  { found: { route, rule }, ...rest }: Progress,
  { status, location }: { readonly status: number; readonly location: string | undefined },
): RequestPlan {
  const grpcStatus = route.kind === 'GRPCRoute' && status >= 500 ? GRPC_UNAVAILABLE : undefined
  return { kind: 'respond', route, rule, ...rest, status, location, grpcStatus }
}
