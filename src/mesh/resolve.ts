import { formatSocketAddress, isLoopback } from './addresses.ts'
import { chooseWeighted, type LoadBalanceListener } from './load-balancer.ts'
import type { MeshView } from './mesh-view.ts'
import type { GatewayAddress, Service, Workload } from './model.ts'
import { formatGateway, serviceKey } from './names.ts'
import type { Route, RouteRefusal, RouteStep, SocketAddress } from './route.ts'
import { endpointRoute, gatewayRoute, passthroughRoute, refusedRoute, waypointRoute } from './routes.ts'
import { findUpstream, gatewayUpstream, isGatewayInstance, type Upstream } from './upstream.ts'

export interface ResolveOutboundInput {
  /** The captured workload that opened the connection: known by its listener, never by its address. */
  readonly source: Workload
  /** Where it wanted to go, canonical. */
  readonly destination: SocketAddress
  /** The NETWORK setting. */
  readonly network: string
  /** 0 ≤ x < 1. */
  readonly random: () => number
  /** Ports on which this proxy itself listens. */
  readonly illegalPorts: ReadonlySet<number>
  /** Told of every choice among a service's endpoints on the way, for who wants to know all candidates. */
  readonly onLoadBalance?: LoadBalanceListener | undefined
}

/**
 * Decides what to do with a connection that a captured workload opened
 * (wire/ztunnel 3). Pure: reads the mesh at this moment and says in `steps`
 * how it came to its decision: `loop-guard`, `address-lookup`,
 * `service-waypoint`, `upstream-lookup`, `network-gateway`,
 * `workload-waypoint`, `destination`, `passthrough`.
 */
export function resolveOutbound(mesh: MeshView, input: ResolveOutboundInput): Route {
  const decision: Decision = { mesh, input, steps: [] }
  const { destination, illegalPorts } = input
  if (isLoopback(destination.address) && illegalPorts.has(destination.port)) {
    note(decision, 'loop-guard', `${formatSocketAddress(destination)} is a port of this proxy`)
    return refuse(decision, 'self-call', 'attempted recursive call to ourselves')
  }
  const service = lookUpService(decision)
  return (service && viaServiceWaypoint(decision, service)) ?? viaUpstream(decision, service)
}

interface Decision {
  readonly mesh: MeshView
  readonly input: ResolveOutboundInput
  readonly steps: RouteStep[]
}

/** A workload's address first, then a virtual one: the reverse of the upstream lookup (wire/ztunnel 3.4). */
function lookUpService(decision: Decision): Service | undefined {
  const { mesh, input } = decision
  const address = { network: input.network, address: input.destination.address }
  const workload = mesh.workloadByAddress(address)
  if (workload !== undefined) {
    note(decision, 'address-lookup', `${address.address} is the address of workload ${workload.uid}`)
    return undefined
  }
  const service = mesh.serviceByAddress(address, input.source.namespace)
  const found =
    service === undefined
      ? `is neither a workload nor a service that namespace ${input.source.namespace} sees`
      : `is a virtual address of service ${serviceKey(service)}`
  note(decision, 'address-lookup', `${address.address} in network "${address.network}" ${found}`)
  return service
}

/** Undefined when the service has no waypoint. One that cannot be reached fails the connection: it must not be bypassed. */
function viaServiceWaypoint(decision: Decision, service: Service): Route | undefined {
  const { random } = decision.input
  const sampled = chooseWeighted(service.weightedWaypoints, ({ weight }) => weight, random)
  const gateway = sampled?.destination ?? service.waypoint
  if (gateway === undefined) return undefined
  const how =
    sampled === undefined ? '' : `, weight ${sampled.weight} of ${service.weightedWaypoints.length} waypoints`
  note(
    decision,
    'service-waypoint',
    `${serviceKey(service)} has the waypoint ${formatGateway(gateway)}${how}`,
  )
  const waypoint = resolveWaypoint(decision, gateway, service)
  if ('kind' in waypoint) return waypoint
  if (waypoint.workload.network !== decision.input.source.network) {
    return acrossNetworks(decision, service, waypoint)
  }
  return waypointRoute(decision.steps, waypoint, service, decision.input.destination)
}

/** The waypoint's instance to dial, or the refusal. */
function resolveWaypoint(
  decision: Decision,
  gateway: GatewayAddress,
  service: Service | undefined,
): Upstream | Route {
  const { mesh, input } = decision
  const found = gatewayUpstream(mesh, gateway, {
    source: input.source,
    requested: input.destination.address,
    resolution: 'waypoint',
    random: input.random,
    onLoadBalance: input.onLoadBalance,
  })
  if (found.kind === 'found') {
    const { workload, port } = found.upstream
    note(decision, 'waypoint-lookup', `${workload.uid} port ${port}: ${found.reason}`)
    return found.upstream
  }
  note(decision, 'waypoint-lookup', found.reason)
  const message = `unknown waypoint: waypoint ${formatGateway(gateway)} not found: ${found.reason}`
  return refuse(decision, 'unknown-waypoint', message, service)
}

function viaUpstream(decision: Decision, service: Service | undefined): Route {
  const { mesh, input } = decision
  const { source, destination, random, onLoadBalance } = input
  const found = findUpstream(
    mesh,
    // The source's own network, not the configured one (wire/ztunnel 3.7).
    { network: source.network, address: destination.address },
    {
      source,
      port: destination.port,
      requested: destination.address,
      resolution: 'standard',
      random,
      onLoadBalance,
    },
  )
  if (found.kind !== 'found') {
    note(decision, 'upstream-lookup', found.reason)
    return withoutUpstream(decision, service, found.reason)
  }
  const { upstream } = found
  note(decision, 'upstream-lookup', `${upstream.workload.uid} port ${upstream.port}: ${found.reason}`)
  if (upstream.workload.network !== source.network) return acrossNetworks(decision, service, upstream)
  const behindWaypoint = service === undefined ? viaWorkloadWaypoint(decision, upstream.workload) : undefined
  return behindWaypoint ?? endpointRoute(decision.steps, upstream, service, destination.address)
}

/** A service without a usable endpoint is an error; what no service claims is not of this mesh (wire/ztunnel 3.8). */
function withoutUpstream(decision: Decision, service: Service | undefined, reason: string): Route {
  const { destination } = decision.input
  if (service !== undefined && service.loadBalancing.mode !== 'PASSTHROUGH') {
    const message = `no healthy upstream: ${formatSocketAddress(destination)}: ${reason}`
    return refuse(decision, 'no-healthy-upstream', message, service)
  }
  note(decision, 'passthrough', `plain TCP to ${formatSocketAddress(destination)}`)
  return passthroughRoute(decision.steps, destination)
}

/**
 * Through the gateway of the upstream's network (wire/ztunnel 3.9), or not at
 * all: its address would reach a stranger in this one.
 */
function acrossNetworks(decision: Decision, service: Service | undefined, upstream: Upstream): Route {
  const { mesh, input, steps } = decision
  const { workload } = upstream
  if (service === undefined) {
    const message = `no service for target address: ${formatSocketAddress(input.destination)}`
    return refuse(decision, 'no-service-for-target-address', message)
  }
  const gateway = workload.networkGateway
  if (gateway === undefined) {
    const message = `no valid routing destination for workload: ${workload.uid}: it is in network "${workload.network}", which has no gateway`
    return refuse(decision, 'no-valid-destination', message, service, workload)
  }
  const found = gatewayUpstream(mesh, gateway, {
    source: input.source,
    requested: input.destination.address,
    resolution: 'standard',
    random: input.random,
    onLoadBalance: input.onLoadBalance,
  })
  if (found.kind !== 'found') {
    const message = `unknown network gateway: ${formatGateway(gateway)}: ${found.reason}`
    return refuse(decision, 'unknown-network-gateway', message, service, workload)
  }
  const name = `${found.upstream.workload.uid} (${formatGateway(gateway)})`
  note(
    decision,
    'network-gateway',
    `${workload.uid} is in network "${workload.network}", behind gateway ${name}`,
  )
  return gatewayRoute(steps, found.upstream, upstream, service, input.destination)
}

/** Undefined when the workload has no waypoint, or the source is that waypoint (wire/ztunnel 3.10). */
function viaWorkloadWaypoint(decision: Decision, workload: Workload): Route | undefined {
  const { mesh, input, steps } = decision
  const gateway = workload.waypoint
  if (gateway === undefined) return undefined
  if (isGatewayInstance(mesh, gateway, input.source)) {
    note(
      decision,
      'workload-waypoint',
      `${input.source.uid} is itself the waypoint ${formatGateway(gateway)}`,
    )
    return undefined
  }
  note(decision, 'workload-waypoint', `${workload.uid} has the waypoint ${formatGateway(gateway)}`)
  const waypoint = resolveWaypoint(decision, gateway, undefined)
  return 'kind' in waypoint ? waypoint : waypointRoute(steps, waypoint, undefined, input.destination)
}

function refuse(
  { steps }: Decision,
  code: RouteRefusal,
  message: string,
  service?: Service,
  workload?: Workload,
): Route {
  return refusedRoute(steps, code, message, service, workload)
}

function note({ steps }: Decision, step: string, detail: string): void {
  steps.push({ step, detail })
}
