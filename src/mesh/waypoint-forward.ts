import { formatHostPort } from './addresses.ts'
import { chooseAddress } from './destination-address.ts'
import { chooseEndpoint, type LoadBalanceListener, type LoadBalanceResult } from './load-balancer.ts'
import type { Endpoint, MeshView } from './mesh-view.ts'
import type { Service, Workload } from './model.ts'
import { formatGateway, serviceKey } from './names.ts'
import type { Route, RouteStep, SocketAddress } from './route.ts'
import { endpointRoute, gatewayRoute, passthroughRoute, refusedRoute } from './routes.ts'
import { gatewayUpstream, isGatewayInstance, type Upstream } from './upstream.ts'

export interface ForwardInput {
  /** The waypoint's own workload: endpoints are chosen by its locality, and dialled as it. */
  readonly waypoint: Workload
  /** The address that the client asked for, canonical: its family is preferred. Undefined for a hostname. */
  readonly requested: string | undefined
  /** 0 ≤ x < 1. */
  readonly random: () => number
  readonly onLoadBalance?: LoadBalanceListener | undefined
}

/**
 * Where a waypoint sends what is for a service: to an endpoint, never to a
 * waypoint, its own instances included. Endpoints of `avoid` (uids: those that
 * failed this request before) are taken only when there is no other. Pure;
 * steps are `load-balance`, `network-gateway` and `destination`.
 */
export function resolveForward(
  mesh: MeshView,
  service: Service,
  port: number,
  input: ForwardInput,
  avoid: ReadonlySet<string> = NONE,
): Route {
  const steps: RouteStep[] = []
  const requested = input.requested ?? service.addresses[0]?.address ?? ANY_IPV4
  const destination = { address: requested, port }
  if (service.loadBalancing.mode === 'PASSTHROUGH') {
    steps.push({ step: 'load-balance', detail: `${serviceKey(service)} is in mode PASSTHROUGH` })
    return passthroughRoute(steps, destination)
  }
  const choice = choose(mesh, service, port, input, avoid)
  const where = formatHostPort(service.hostname, port)
  if (choice.kind === 'none') {
    return refusedRoute(
      steps,
      'no-healthy-upstream',
      `no healthy upstream: ${where}: ${choice.reason}`,
      service,
    )
  }
  const { workload, port: target, reason } = choice
  if (isOwnKind(mesh, service, workload)) {
    const message = `no healthy upstream: ${where}: ${workload.uid} is a waypoint of the service itself`
    return refusedRoute(steps, 'no-healthy-upstream', message, service, workload)
  }
  steps.push({ step: 'load-balance', detail: `${workload.uid} port ${target}: ${reason}` })
  const dial = chooseAddress(workload, service, requested)
  const upstream: Upstream = { workload, port: target, dial, service }
  return workload.network === input.waypoint.network
    ? endpointRoute(steps, upstream, service, requested)
    : acrossNetworks(mesh, steps, upstream, service, destination, input)
}

/** Where a waypoint sends what is for a pod: to the pod. Pure. */
export function resolvePodForward(
  workload: Workload,
  destination: SocketAddress,
  service: Service | undefined,
): Route {
  const dial = chooseAddress(workload, undefined, destination.address)
  const upstream: Upstream = { workload, port: destination.port, dial, service: undefined }
  const route = endpointRoute([], upstream, undefined, destination.address)
  return { ...route, service }
}

const NONE: ReadonlySet<string> = new Set()
/** Stands for the family of a service that has no address. */
const ANY_IPV4 = '0.0.0.0'

/** A waypoint that is also an endpoint of its service would get its own requests for ever. */
function isOwnKind(mesh: MeshView, { waypoint }: Service, workload: Workload): boolean {
  return waypoint !== undefined && isGatewayInstance(mesh, waypoint, workload)
}

function choose(
  mesh: MeshView,
  service: Service,
  port: number,
  { waypoint, random, onLoadBalance }: ForwardInput,
  avoid: ReadonlySet<string>,
): LoadBalanceResult {
  const pick = (endpoints: readonly Endpoint[]): LoadBalanceResult => {
    const input = { service, endpoints, source: waypoint, port, resolution: 'standard', random } as const
    const result = chooseEndpoint(input)
    onLoadBalance?.(input, result)
    return result
  }
  const endpoints = mesh.endpoints(serviceKey(service))
  if (avoid.size === 0) return pick(endpoints)
  const others = endpoints.filter(({ workload }) => !avoid.has(workload.uid))
  const chosen = pick(others)
  return chosen.kind === 'none' && others.length < endpoints.length ? pick(endpoints) : chosen
}

/** As ztunnel does: through the gateway of the endpoint's network, which asks the service there (wire/ztunnel 3.9). */
function acrossNetworks(
  mesh: MeshView,
  steps: RouteStep[],
  upstream: Upstream,
  service: Service,
  destination: SocketAddress,
  { waypoint, random, onLoadBalance }: ForwardInput,
): Route {
  const { workload } = upstream
  const gateway = workload.networkGateway
  if (gateway === undefined) {
    const message = `no valid routing destination for workload: ${workload.uid}: it is in network "${workload.network}", which has no gateway`
    return refusedRoute(steps, 'no-valid-destination', message, service, workload)
  }
  const requested = destination.address
  const query = { source: waypoint, requested, resolution: 'standard', random, onLoadBalance } as const
  const found = gatewayUpstream(mesh, gateway, query)
  if (found.kind !== 'found') {
    const message = `unknown network gateway: ${formatGateway(gateway)}: ${found.reason}`
    return refusedRoute(steps, 'unknown-network-gateway', message, service, workload)
  }
  const name = `${found.upstream.workload.uid} (${formatGateway(gateway)})`
  const detail = `${workload.uid} is in network "${workload.network}", behind gateway ${name}`
  steps.push({ step: 'network-gateway', detail })
  return gatewayRoute(steps, found.upstream, upstream, service, destination)
}
