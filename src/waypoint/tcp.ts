import type { Duplex } from 'node:stream'
import { type Cancellation, parseTraceparent } from '../hbone/index.ts'
import { planConnection, routeName } from '../mesh/http/index.ts'
import type { Route, Verdict } from '../mesh/index.ts'
import { type RelayDependencies, type RelayPlan, relay } from '../ztunnel/proxy/relay.ts'
import { type Arrival, connectionInfo } from './arrival.ts'
import { backendRoute, ownRoute } from './backends.ts'
import { WaypointError } from './errors.ts'
import type { WaypointRules } from './rules.ts'
import { dialUpstream, type UpstreamConnection, type UpstreamDependencies, upstreamHost } from './upstream.ts'

export interface TcpDependencies extends UpstreamDependencies, RelayDependencies {
  readonly rules: WaypointRules
}

/** A TCP connection whose verdict and way on are known. */
export interface TcpPlan {
  readonly verdict: Verdict
  /** Refused where there is no healthy endpoint or no valid backend. */
  readonly route: Route
}

/** Judges a connection and chooses its endpoint; nothing is dialled yet. */
export function planTcp(deps: TcpDependencies, arrival: Arrival): TcpPlan {
  return { verdict: deps.rules.judge(arrival.context, undefined), route: tcpRoute(deps, arrival) }
}

/** Dials what a plan says. Rejects with what stood in the way. */
export function dialTcp(
  deps: TcpDependencies,
  arrival: Arrival,
  { route }: TcpPlan,
  signal: Cancellation,
): Promise<UpstreamConnection> {
  if (route.kind === 'refused') return Promise.reject(new WaypointError('no-upstream', route.message))
  const { request, client, waypoint } = arrival
  const traceparent = parseTraceparent(request.headers.traceparent)?.header
  return dialUpstream(deps, route, { waypoint, client: client.source, traceparent }, signal)
}

/** How the client's end is had, and told of a failure. */
export interface TcpDownstream {
  /** The upstream is there. */
  accept(): Duplex
  fail(error: unknown): void
  /** Dialled already, for a server that speaks first. */
  readonly upstream?: UpstreamConnection | undefined
  /** What the client said before it ended its half; it cannot be read any more. */
  readonly head?: Buffer | undefined
}

/** Carries a connection that is not HTTP, or is not to be looked at, to its end, and records it. */
export async function carryTcp(
  deps: TcpDependencies,
  arrival: Arrival,
  plan: TcpPlan,
  downstream: TcpDownstream,
): Promise<void> {
  const { request, context } = arrival
  const route = plan.route.kind === 'refused' ? undefined : plan.route
  const traceId = parseTraceparent(request.headers.traceparent)?.traceId
  const relayPlan: RelayPlan = {
    info: connectionInfo(arrival, route, traceId),
    originalDestination: `${request.authority.host}:${request.authority.port}`,
    actualDestination: route === undefined ? '-' : upstreamHost(route),
    policy: { context, judge: () => plan.verdict },
    connect: async (signal) => {
      const upstream = downstream.upstream ?? (await dialTcp(deps, arrival, plan, signal))
      const { stream, peerIdentity } = upstream
      if (downstream.head !== undefined) stream.write(downstream.head)
      const ends = { downstream: downstream.accept(), upstream: stream }
      return peerIdentity === undefined ? ends : { ...ends, peerIdentity }
    },
    fail: (error) => downstream.fail(error),
  }
  await relay(deps, relayPlan)
}

/** Routes of HTTP mean requests: a connection of another protocol goes where the service says. */
function tcpRoute(deps: TcpDependencies, arrival: Arrival): Route {
  const found = deps.rules.routesFor(arrival)
  const plan = found?.kind === 'TCPRoute' ? planConnection(found, deps.random) : undefined
  if (plan === undefined) return ownRoute(deps, arrival)
  const chosen = plan.kind === 'forward' ? backendRoute(deps, arrival, plan.target) : undefined
  if (chosen !== undefined) return { ...chosen, steps: [...plan.steps, ...chosen.steps] }
  const why = plan.kind === 'refused' ? plan.reason : `there is no service ${plan.target.service}`
  const message = `no valid backend: ${routeName(plan.route)}: ${why}`
  const nowhere = { service: undefined, workload: undefined }
  return { kind: 'refused', ...nowhere, steps: plan.steps, code: 'no-valid-destination', message }
}
