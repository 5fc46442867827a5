import { routingRank } from './locality.ts'
import type { Endpoint } from './mesh-view.ts'
import type { Port, Service, Workload } from './model.ts'

/**
 * `standard`: the client named a port, so the service must list it. `waypoint`:
 * nobody named the HBONE port, so a waypoint that takes an application tunnel
 * need not list it (wire/ztunnel 3.11).
 */
export type PortResolution = 'standard' | 'waypoint'

export interface LoadBalanceInput {
  readonly service: Service
  /** Healthy enough for the service; see `MeshView.endpoints`. */
  readonly endpoints: readonly Endpoint[]
  /** Whose locality and network endpoints are compared with. */
  readonly source: Workload
  readonly port: number
  readonly resolution: PortResolution
  /** 0 ≤ x < 1. */
  readonly random: () => number
}

/** An endpoint and its own port, or why there is none, for the operator. */
export type LoadBalanceResult =
  | { readonly kind: 'chosen'; readonly workload: Workload; readonly port: number; readonly reason: string }
  | { readonly kind: 'none'; readonly reason: string }

/** Hears of a choice: what it was made of, and what came of it. Must not throw. */
export type LoadBalanceListener = (input: LoadBalanceInput, result: LoadBalanceResult) => void

/** Chooses one endpoint of a service (wire/ztunnel 3.11). */
export function chooseEndpoint(input: LoadBalanceInput): LoadBalanceResult {
  const { service, endpoints, port, resolution, random } = input
  const servicePort = service.ports.find((candidate) => candidate.servicePort === port)
  if (resolution === 'standard' && servicePort === undefined) {
    return { kind: 'none', reason: `${service.hostname} has no port ${port}` }
  }
  const usable = endpoints.filter((endpoint) => isUsable(endpoint, servicePort, input))
  const preferred = preferEndpoints(usable, input)
  const chosen = chooseByCapacity(preferred, random)
  const counts = `${preferred.length} of ${endpoints.length} endpoints preferred, mode ${service.loadBalancing.mode}`
  if (chosen === undefined) return { kind: 'none', reason: describeShortage(input, usable, preferred) }
  const target = targetPort(chosen, servicePort, port)
  if (target === undefined) {
    return {
      kind: 'none',
      reason: `port ${port} of ${service.hostname} leads to no port of ${chosen.workload.uid}`,
    }
  }
  return { kind: 'chosen', workload: chosen.workload, port: target, reason: counts }
}

/** Weighted random choice; a weight of 0 is never chosen and all zeros choose nothing. */
export function chooseWeighted<T>(
  items: readonly T[],
  weight: (item: T) => number,
  random: () => number,
): T | undefined {
  let total = 0
  for (const item of items) total += weight(item)
  if (total <= 0) return undefined
  let left = random() * total
  let last: T | undefined
  for (const item of items) {
    const share = weight(item)
    if (share <= 0) continue
    if (left < share) return item
    left -= share
    last = item
  }
  // Only rounding leads here: the shares add up to the total.
  return last
}

/** Whether an endpoint can be dialled at all, for this port. */
export function isUsable(
  { workload, ports }: Endpoint,
  servicePort: Port | undefined,
  { source, port, resolution }: LoadBalanceInput,
): boolean {
  if (workload.addresses.length === 0 && workload.hostname === '') {
    const behindGateway = workload.network !== source.network && workload.networkGateway !== undefined
    if (!behindGateway) return false
  }
  if (resolution === 'standard') return (servicePort?.targetPort ?? 0) > 0 || ports.has(port)
  return servicePort !== undefined || workload.applicationTunnel !== undefined
}

/** Of the usable ones those that the service's mode leaves for this source (wire/ztunnel 3.11). */
export function preferEndpoints(
  usable: readonly Endpoint[],
  { service, source }: LoadBalanceInput,
): readonly Endpoint[] {
  const { mode, routingPreference } = service.loadBalancing
  if (mode !== 'FAILOVER' && mode !== 'STRICT') return usable
  const ranked = usable.map((endpoint) => routingRank(routingPreference, source, endpoint.workload))
  if (mode === 'STRICT') return usable.filter((_, i) => ranked[i]?.full === true)
  const best = ranked.reduce((highest, { rank }) => Math.max(highest, rank), 0)
  return usable.filter((_, i) => ranked[i]?.rank === best)
}

function chooseByCapacity(endpoints: readonly Endpoint[], random: () => number): Endpoint | undefined {
  return chooseWeighted(endpoints, ({ workload }) => workload.capacity, random)
}

/** The endpoint's own mapping, else the service's; an application tunnel takes the service port as it is. */
export function targetPort(
  { workload, ports }: Endpoint,
  servicePort: Port | undefined,
  port: number,
): number | undefined {
  const own = ports.get(port)
  if (own !== undefined) return own
  if (servicePort !== undefined && servicePort.targetPort > 0) return servicePort.targetPort
  return workload.applicationTunnel?.port === undefined ? undefined : port
}

function describeShortage(
  { service, endpoints, port }: LoadBalanceInput,
  usable: readonly Endpoint[],
  preferred: readonly Endpoint[],
): string {
  if (endpoints.length === 0) return `${service.hostname} has no healthy endpoint`
  if (usable.length === 0) {
    return `none of ${endpoints.length} endpoints of ${service.hostname} has an address and port ${port}`
  }
  if (preferred.length === 0) {
    const scopes = service.loadBalancing.routingPreference.join(', ')
    return `none of ${usable.length} endpoints of ${service.hostname} is in the client's ${scopes}`
  }
  return `all ${preferred.length} preferred endpoints of ${service.hostname} have capacity 0`
}
