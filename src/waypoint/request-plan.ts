import type { Cancellation } from '../hbone/index.ts'
import { type HttpHeaders, type HttpRequestHead, planRequest, type RequestPlan } from '../mesh/http/index.ts'
import type { AppProtocol, Route, RouteStep } from '../mesh/index.ts'
import type { Arrival } from './arrival.ts'
import { backendRoute, ownRoute } from './backends.ts'
import { WaypointError } from './errors.ts'
import type { ForwardTarget, HttpExchange, HttpProtocol } from './http/index.ts'
import type { WaypointRules } from './rules.ts'
import { dialUpstream, type OpenRoute, type UpstreamDependencies, upstreamKey } from './upstream.ts'

export interface PlanDependencies extends UpstreamDependencies {
  readonly rules: WaypointRules
}

/** What becomes of a request that policy lets through. */
export interface HttpPlan {
  /** What routes say; undefined where there are none. */
  readonly routed: RequestPlan | undefined
  readonly steps: readonly RouteStep[]
  /** An endpoint for one try; undefined for a backend that there is not. */
  endpoint(avoid: ReadonlySet<string>): Route | undefined
  /** How the endpoint's port is spoken to. */
  readonly protocol: HttpProtocol
}

/** Asks the routes. `trace` says of each match that was passed over why. */
export function planHttp(
  deps: PlanDependencies,
  arrival: Arrival,
  { head, protocol }: Pick<HttpExchange, 'head' | 'protocol'>,
  trace: boolean,
): HttpPlan {
  const { rules, random, mesh } = deps
  const routes = rules.routesFor(arrival)
  if (routes === undefined || routes.kind === 'TCPRoute') {
    return {
      routed: undefined,
      steps: [],
      endpoint: (avoid) => ownRoute(deps, arrival, avoid),
      protocol: spoken(arrival.target.appProtocol, protocol),
    }
  }
  const routed = planRequest(rules.matcher, routes, { head, port: arrival.target.port, random, trace })
  const { steps } = routed
  if (routed.kind === 'respond') return { routed, steps, endpoint: () => undefined, protocol }
  const { service, port } = routed.target
  const declared = mesh.service(service)?.ports.find(({ servicePort }) => servicePort === port)?.appProtocol
  return {
    routed,
    steps,
    endpoint: (avoid) => backendRoute(deps, arrival, routed.target, avoid),
    protocol: spoken(declared ?? 'UNKNOWN', protocol),
  }
}

/** One try's target: a connection in a tunnel of the waypoint's own, whoever the client is. */
export function forwardTarget(
  deps: UpstreamDependencies,
  { waypoint }: Pick<Arrival, 'waypoint'>,
  route: OpenRoute,
  protocol: HttpProtocol,
): ForwardTarget {
  const shared = { waypoint, client: undefined, traceparent: undefined }
  return {
    upstreamKey: `${protocol} ${upstreamKey(route)}`,
    protocol,
    connect: async () => (await dialUpstream(deps, route, shared, NEVER)).stream,
  }
}

/** Those of a route's rule that have copies of a request, as far as there is an endpoint. */
export function mirrorTargets(
  deps: PlanDependencies,
  arrival: Arrival,
  { routed }: HttpPlan,
  protocol: HttpProtocol,
): readonly { readonly target: ForwardTarget; readonly head: HttpRequestHead }[] {
  return (routed?.mirrors ?? []).flatMap(({ head, target }) => {
    const route = backendRoute(deps, arrival, target)
    if (route === undefined || route.kind === 'refused') return []
    return [{ head, target: forwardTarget(deps, arrival, route, protocol) }]
  })
}

/** Those of a route that is open; otherwise the reason, as an error. */
export function openRoute(route: Route | undefined): OpenRoute {
  if (route === undefined) throw new WaypointError('no-upstream', 'the backend does not exist')
  if (route.kind === 'refused') throw new WaypointError('no-upstream', route.message)
  return route
}

/** Plain text of an answer of our own. */
export const TEXT: HttpHeaders = ['content-type', 'text/plain']

/** A connection outlives the request that it was made for: it has time-outs of its own. */
const NEVER: Cancellation = new AbortController().signal

/** As declared; where nothing is, as the client speaks. */
function spoken(appProtocol: AppProtocol, client: HttpProtocol): HttpProtocol {
  if (appProtocol === 'HTTP11') return 'http1'
  return appProtocol === 'HTTP2' || appProtocol === 'GRPC' ? 'http2' : client
}
