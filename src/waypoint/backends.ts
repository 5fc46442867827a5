import type { BackendTarget } from '../mesh/http/index.ts'
import { type MeshView, type Route, resolveForward, resolvePodForward } from '../mesh/index.ts'
import { type Arrival, requestedAddress } from './arrival.ts'

/** What endpoints are chosen by. */
export interface BackendDependencies {
  readonly mesh: MeshView
  /** 0 ≤ x < 1. */
  readonly random: () => number
}

/** To what was asked for, where no route says otherwise. `avoid`: uids of endpoints that failed before. */
export function ownRoute(deps: BackendDependencies, arrival: Arrival, avoid?: ReadonlySet<string>): Route {
  const { target } = arrival
  if (target.kind === 'workload') {
    return resolvePodForward(target.workload, { address: target.address, port: target.port }, target.service)
  }
  return resolveForward(deps.mesh, target.service, target.port, forwardInput(deps, arrival), avoid)
}

/** To a route's backend. Undefined for a service that there is not: the fault of the route, not of an endpoint. */
export function backendRoute(
  deps: BackendDependencies,
  arrival: Pick<Arrival, 'request' | 'waypoint'>,
  { service: key, port }: Extract<BackendTarget, { kind: 'service' }>,
  avoid?: ReadonlySet<string>,
): Route | undefined {
  const service = deps.mesh.service(key)
  if (service === undefined) return undefined
  return resolveForward(deps.mesh, service, port, forwardInput(deps, arrival), avoid)
}

function forwardInput(
  { random }: BackendDependencies,
  { request, waypoint }: Pick<Arrival, 'request' | 'waypoint'>,
) {
  return { waypoint, requested: requestedAddress(request), random }
}
