import type { Duplex } from 'node:stream'
import { encodeBaggage, formatAuthority, HboneError, type HboneRequest } from '../hbone/index.ts'
import { formatSocketAddress, resolveWaypointTarget } from '../mesh/index.ts'
import { errorText, ProxyError } from '../ztunnel/errors.ts'
import { workloadBaggage } from '../ztunnel/proxy/baggage.ts'
import type { LocalWorkload } from '../ztunnel/proxy/local-workload.ts'
import { type Arrival, arrivalOf } from './arrival.ts'
import { clientOf } from './client.ts'
import { detectProtocol } from './detect.ts'
import { carryTcp, dialTcp, planTcp, type TcpDependencies, type TcpDownstream, type TcpPlan } from './tcp.ts'
import type { UpstreamConnection } from './upstream.ts'

export interface TunnelHandlerDependencies extends TcpDependencies {
  readonly local: LocalWorkload
  /** Serves the HTTP in a tunnel to its end. */
  readonly serveHttp: (tunnel: Duplex, arrival: Arrival) => Promise<void>
}

/** What is said of a refusal in the answer to the CONNECT (RFC 9209), so that the peer's side can tell. */
const PROXY_STATUS = 'proxy-status'
/** A header is for machines; the log has all of it. */
const MAX_DETAIL_CHARS = 200

/**
 * Handles one CONNECT that reached the waypoint: what is asked for must be
 * the waypoint's (else 400, as by ztunnel), who asks must be known, and then
 * what is spoken decides: HTTP is routed request by request, anything else is
 * carried as it is. Never rejects.
 */
export function tunnelHandler(deps: TunnelHandlerDependencies): (request: HboneRequest) => Promise<void> {
  return async (request) => {
    try {
      const waypoint = await deps.local.get()
      const { mesh, settings } = deps
      const { network } = settings
      const target = resolveWaypointTarget(mesh, { waypoint, authority: request.authority, network })
      if (target.kind === 'refused') return refuse(deps, request, target.status, target.message)
      const client = clientOf({ mesh, waypoint, network }, request, target)
      if (client === undefined) {
        return refuse(deps, request, 400, 'malformed headers of a request that was sent up to its waypoint')
      }
      await carry(deps, arrivalOf(request, waypoint, target, client))
    } catch (error) {
      refuse(deps, request, 503, errorText(error))
    }
  }
}

function carry(deps: TunnelHandlerDependencies, arrival: Arrival): Promise<void> {
  switch (arrival.target.appProtocol) {
    case 'HTTP11':
    case 'HTTP2':
    case 'GRPC':
      return deps.serveHttp(accept(arrival), arrival)
    case 'TCP':
    case 'TLS':
      return carryDeclared(deps, arrival)
    case 'UNKNOWN':
      // Who attaches a TCPRoute to a port says what is spoken there.
      return deps.rules.routesFor(arrival)?.kind === 'TCPRoute'
        ? carryDeclared(deps, arrival)
        : carryUndeclared(deps, arrival)
  }
}

/** Known to be TCP: the answer to the CONNECT tells how it went. */
function carryDeclared(deps: TunnelHandlerDependencies, arrival: Arrival): Promise<void> {
  const { request } = arrival
  let answered = false
  return carryTcp(deps, arrival, planTcp(deps, arrival), {
    accept() {
      answered = true
      return accept(arrival)
    },
    fail(error) {
      if (!answered) request.refuse(statusOf(error), { [PROXY_STATUS]: proxyStatus(errorText(error)) })
    },
  })
}

/** The client has its 200 before anything is known: it would not speak otherwise. */
async function carryUndeclared(deps: TunnelHandlerDependencies, arrival: Arrival): Promise<void> {
  const client = accept(arrival)
  const plan = planTcp(deps, arrival)
  const gone = new AbortController()
  client.once('close', () => gone.abort(new Error('the client is gone')))
  let upstream: UpstreamConnection | undefined
  const dial = async (): Promise<Duplex> => {
    upstream = await dialTcp(deps, arrival, plan, gone.signal)
    return upstream.stream
  }
  const mayDial = plan.verdict.allowed && plan.route.kind !== 'refused'
  const failed = (error: unknown): TcpPlan => ({ ...plan, route: refusedRoute(plan, error) })
  try {
    const found = await detectProtocol(client, {
      dial: () => (mayDial ? dial() : undefined),
      signal: gone.signal,
    })
    if (found.kind === 'http') return await deps.serveHttp(client, arrival)
    const dialled = found.upstream === undefined ? undefined : upstream
    await carryAccepted(deps, arrival, plan, { client, upstream: dialled, head: found.head })
  } catch (error) {
    await carryAccepted(deps, arrival, failed(error), { client })
  }
}

function carryAccepted(
  deps: TunnelHandlerDependencies,
  arrival: Arrival,
  plan: TcpPlan,
  { client, ...found }: { client: Duplex } & Pick<TcpDownstream, 'upstream' | 'head'>,
): Promise<void> {
  return carryTcp(deps, arrival, plan, {
    ...found,
    accept: () => client,
    // After the 200 only a reset is left.
    fail: () => client.destroy(),
  })
}

/** A dial that failed while the protocol was being found out is recorded as what it is. */
function refusedRoute({ route }: TcpPlan, error: unknown): TcpPlan['route'] {
  const { steps, service, workload } = route
  return { kind: 'refused', code: 'no-healthy-upstream', message: errorText(error), steps, service, workload }
}

function accept({ request, waypoint }: Arrival): Duplex {
  return request.accept({ baggage: encodeBaggage(workloadBaggage(waypoint)) })
}

function refuse(
  { telemetry }: TunnelHandlerDependencies,
  request: HboneRequest,
  status: number,
  error: string,
): void {
  request.refuse(status, { [PROXY_STATUS]: proxyStatus(error) })
  telemetry.rejectedEarly({
    sourceAddress: formatSocketAddress(request.peer),
    destinationAddress: formatSocketAddress(request.local),
    direction: 'inbound',
    error: `${error} (asked for ${formatAuthority(request.authority)})`,
  })
}

/** 401 for policy and 503 for the rest, as our ztunnel answers; an endpoint's own refusal is passed on as it is. */
function statusOf(error: unknown): number {
  if (error instanceof ProxyError && (error.code === 'policy-denied' || error.code === 'policy-changed'))
    return 401
  if (error instanceof HboneError && error.status !== undefined && error.status >= 400) return error.status
  return 503
}

/** A structured-field string holds visible ASCII only. */
function proxyStatus(detail: string): string {
  const text = detail
    .slice(0, MAX_DETAIL_CHARS)
    .replace(/[^\x20-\x7e]/g, '?')
    .replace(/["\\]/g, "'")
  return `ztunnel-waypoint; details="${text}"`
}
