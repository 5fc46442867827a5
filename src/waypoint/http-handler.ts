import { filterResponse, type HttpHeaders } from '../mesh/http/index.ts'
import { errorText } from '../ztunnel/errors.ts'
import type { VerdictListener } from '../ztunnel/proxy/policy-log.ts'
import { type Arrival, connectionInfo } from './arrival.ts'
import type { ForwardResult, HttpExchange, RetryOptions } from './http/index.ts'
import { forwardedHead, traceOf } from './request-head.ts'
import {
  forwardTarget,
  type HttpPlan,
  mirrorTargets,
  openRoute,
  type PlanDependencies,
  planHttp,
  TEXT,
} from './request-plan.ts'
import { type Outcome, type RecordDependencies, recordRefusal, recordRequest } from './request-record.ts'
import type { OpenRoute } from './upstream.ts'

export interface HttpHandlerDependencies extends PlanDependencies, RecordDependencies {
  /** Whether applications are told who the client is. */
  readonly xfcc: boolean
  readonly onVerdict?: VerdictListener | undefined
}

/** Takes the requests of a tunnel. */
export interface HttpHandler {
  /** Never rejects. */
  request(exchange: HttpExchange, arrival: Arrival): Promise<void>
  /** What was no request, or one that nobody should pass on. */
  refused(status: number, reason: string, arrival: Arrival): void
}

/**
 * Of each request: judge it as it came (Istio's RBAC filter stands before its
 * router), ask the routes, choose an endpoint, send it on, and record it.
 */
export function httpHandler(deps: HttpHandlerDependencies): HttpHandler {
  return {
    async request(exchange, arrival) {
      const outcome = await answer(deps, exchange, arrival).catch((error: unknown) =>
        failed(exchange, errorText(error)),
      )
      recordRequest(deps, exchange, arrival, outcome)
    },
    refused: (status, reason, arrival) => recordRefusal(deps, status, reason, arrival),
  }
}

async function answer(
  deps: HttpHandlerDependencies,
  exchange: HttpExchange,
  arrival: Arrival,
): Promise<Outcome> {
  const verdict = deps.rules.judge(arrival.context, exchange.head)
  deps.onVerdict?.(verdict, connectionInfo(arrival, undefined, undefined))
  const trace = traceOf(exchange.head, arrival)
  if (!verdict.allowed) {
    const result = await exchange.respond(403, TEXT, 'RBAC: access denied')
    return { result, verdict, trace, details: deniedDetails(verdict.policy, verdict.rule) }
  }
  const plan = planHttp(deps, arrival, exchange, deps.requestLog.explains)
  if (plan.routed?.kind === 'respond')
    return { ...(await respond(exchange, plan.routed)), verdict, trace, plan }
  const first = plan.endpoint(NONE)
  if (first === undefined) {
    return {
      result: await exchange.respond(500),
      verdict,
      trace,
      plan,
      details: 'the backend does not exist',
    }
  }
  if (first.kind === 'refused') {
    const result = await exchange.respond(503, TEXT, 'no healthy upstream')
    return { result, verdict, trace, plan, flag: 'UH', details: first.message }
  }
  return { ...(await send(deps, exchange, arrival, plan, first, trace)), verdict, trace, plan }
}

async function respond(
  exchange: HttpExchange,
  routed: Extract<HttpPlan['routed'], { kind: 'respond' }>,
): Promise<Pick<Outcome, 'result' | 'flag' | 'details'>> {
  const { status, location, responseFilters, route } = routed
  const headers: HttpHeaders = location === undefined ? [] : ['location', location]
  const result = await exchange.respond(status, filterResponse(responseFilters, headers))
  if (route === undefined) return { result, flag: 'NR', details: 'route_not_found' }
  return { result, details: location === undefined ? routed.steps.at(-1)?.detail : 'redirect' }
}

async function send(
  deps: HttpHandlerDependencies,
  exchange: HttpExchange,
  arrival: Arrival,
  plan: HttpPlan,
  first: OpenRoute,
  trace: Outcome['trace'] & object,
): Promise<Pick<Outcome, 'result' | 'route'>> {
  const { routed, protocol } = plan
  let route = first
  const prepare = (head: HttpExchange['head']) => forwardedHead(head, arrival, trace, deps.xfcc)
  for (const { target, head } of mirrorTargets(deps, arrival, plan, protocol)) {
    exchange.mirror({ ...target, head: prepare(head) })
  }
  const tried = new Set<string>()
  const nextTry: RetryOptions['nextTry'] = async () => {
    if (route.workload !== undefined) tried.add(route.workload.uid)
    route = openRoute(plan.endpoint(tried))
    return forwardTarget(deps, arrival, route, protocol)
  }
  const rule = routed?.kind === 'forward' ? routed : undefined
  const result = await exchange.forward({
    ...forwardTarget(deps, arrival, route, protocol),
    head: prepare(rule?.head ?? exchange.head),
    requestTimeoutMs: rule?.timeouts.requestMs,
    perTryTimeoutMs: rule?.timeouts.backendRequestMs,
    retry: retryOf(rule?.retry, exchange, nextTry),
    mapResponse: ({ status, headers }) => ({
      status,
      headers: rule === undefined ? headers : filterResponse(rule.responseFilters, headers),
    }),
  })
  return { result, route }
}

/**
 * What the route says; else, of requests that may be repeated (RFC 9110
 * section 9.2.2), two more tries where the connection failed: an endpoint that
 * has just died is none of the client's business.
 */
function retryOf(
  retry:
    | { readonly attempts: number; readonly codes: readonly number[]; readonly backoffMs: number | undefined }
    | undefined,
  { head, upgrade }: HttpExchange,
  nextTry: RetryOptions['nextTry'],
): RetryOptions | undefined {
  if (retry !== undefined) return { ...retry, nextTry }
  if (!REPEATABLE.has(head.method) || upgrade !== undefined) return undefined
  return { attempts: DEFAULT_RETRIES, codes: [], nextTry }
}

/** Istio's default. */
const DEFAULT_RETRIES = 2
const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
const NONE: ReadonlySet<string> = new Set()

/** Envoy's text, with Istio's name of a rule, which counts from 0. */
function deniedDetails(policy: string | undefined, rule: number | undefined): string {
  const [namespace, name] = policy?.split('/') ?? []
  const matched = policy === undefined ? 'none' : `ns[${namespace}]-policy[${name}]-rule[${(rule ?? 1) - 1}]`
  return `rbac_access_denied_matched_policy[${matched}]`
}

async function failed(exchange: HttpExchange, details: string): Promise<Outcome> {
  const result: ForwardResult = await exchange.respond(500)
  return { result, details }
}
