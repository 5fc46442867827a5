import type { WaypointPolicy } from '../mesh/http/policy-model.ts'
import { type Route, routeName } from '../mesh/http/route-model.ts'
import type { AuthorizationPolicy, Service, Workload } from '../mesh/model.ts'
import { policyName, serviceKey } from '../mesh/names.ts'
import { encodeAuthorization, encodeService, encodeWorkload } from './encode.ts'
import { encodeRoute } from './encode-route.ts'
import { encodeWaypointPolicy } from './encode-waypoint-policy.ts'
import type { NewResource } from './resource.ts'
import type { SourceSnapshot } from './source.ts'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, ROUTE_TYPE, WAYPOINT_POLICY_TYPE } from './type-urls.ts'

/** A mesh as the resources that proxies subscribe to, by type. Every type is there even when empty: it is waited for. */
export function meshResources(mesh: SourceSnapshot): ReadonlyMap<string, readonly NewResource[]> {
  return new Map([
    [ADDRESS_TYPE, [...mesh.services.map(serviceResource), ...mesh.workloads.map(workloadResource)]],
    [AUTHORIZATION_TYPE, mesh.policies.map(policyResource)],
    [ROUTE_TYPE, (mesh.routes ?? []).map(routeResource)],
    [WAYPOINT_POLICY_TYPE, (mesh.waypointPolicies ?? []).map(waypointPolicyResource)],
  ])
}

export function workloadResource(workload: Workload): NewResource {
  return {
    name: workload.uid,
    value: encodeWorkload(workload),
    // Several pods share a node's address: asking for it must not bring one of them.
    aliases:
      workload.networkMode === 'HOST_NETWORK'
        ? []
        : workload.addresses.map((address) => `${workload.network}/${address}`),
    groups: [...workload.services.keys()],
  }
}

export function serviceResource(service: Service): NewResource {
  return {
    name: serviceKey(service),
    value: encodeService(service),
    aliases: [
      ...service.addresses.map(({ network, address }) => `${network}/${address}`),
      ...service.cidrs.map(({ network, cidr }) => `${network}/${cidr}`),
    ],
    groups: [],
  }
}

export function policyResource(policy: AuthorizationPolicy): NewResource {
  return {
    name: policyName(policy),
    value: encodeAuthorization(policy),
    aliases: [],
    groups: [],
    selective: policy.scope === 'WORKLOAD_SELECTOR',
  }
}

export function routeResource(route: Route): NewResource {
  return { name: routeName(route), value: encodeRoute(route), aliases: [], groups: [] }
}

export function waypointPolicyResource(policy: WaypointPolicy): NewResource {
  return { name: policyName(policy), value: encodeWaypointPolicy(policy), aliases: [], groups: [] }
}
