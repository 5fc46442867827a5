import type { MeshStore } from '../mesh/index.ts'
import { AddressHandler, type ResourceHandler, RouteHandler, WaypointPolicyHandler } from '../xds/index.ts'
import type { WaypointRules } from './rules.ts'

/**
 * What a waypoint asks of its config server: workloads and services as every
 * proxy of Istio's does, routes and policies by types of our own.
 */
export function waypointTypes(mesh: MeshStore, rules: WaypointRules): readonly ResourceHandler[] {
  return [
    new AddressHandler(mesh),
    new RouteHandler({ apply: (changes) => rules.applyRoutes(changes) }),
    new WaypointPolicyHandler(rules.policies),
  ]
}
