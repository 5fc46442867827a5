import type { TargetReference } from './objects.ts'
import type { TranslateContext } from './translate-context.ts'
import { isWaypoint, waypointOf } from './waypoint-bindings.ts'

/**
 * Who enforces a policy that is bound to an object: a waypoint or a gateway,
 * never a node proxy, and nobody if the object has none. Said of every such
 * policy, since an operator who reads only that it is in force may take the
 * traffic that goes past the waypoint for covered.
 */
export function whoEnforces(
  reference: TargetReference,
  policyNamespace: string,
  context: TranslateContext,
): string {
  const { group, kind, name, namespace } = reference
  const key = `${policyNamespace}/${name}`
  if (GROUPS.get(kind) !== group) {
    const known = [...GROUPS].map(([kind, group]) => `${kind} of group "${group}"`).join(', ')
    return `${kind} of group "${group}" cannot be bound: expected ${known}; nobody enforces the policy`
  }
  if (namespace !== undefined && namespace !== policyNamespace) {
    return `${kind} ${namespace}/${name} is of another namespace, which Istio refuses: nobody enforces the policy`
  }
  if (kind === 'GatewayClass') return ofClass(name, policyNamespace, context)
  return kind === 'Gateway' ? ofGateway(key, context) : ofService(kind, key, context)
}

/** What can be bound. */
const GROUPS: ReadonlyMap<string, string> = new Map([
  ['Service', ''],
  ['ServiceEntry', 'networking.istio.io'],
  ['Gateway', 'gateway.networking.k8s.io'],
  ['GatewayClass', 'gateway.networking.k8s.io'],
])
const NOT_BY_NODES = 'alone, which istiod configures, and not by node proxies'

function ofClass(name: string, policyNamespace: string, { rootNamespace }: TranslateContext): string {
  if (policyNamespace === rootNamespace) return `enforced by gateways of class ${name} ${NOT_BY_NODES}`
  return `GatewayClass ${name} can be bound in the root namespace ${rootNamespace} only: nobody enforces the policy`
}

function ofGateway(key: string, { objects }: TranslateContext): string {
  const gateway = objects.gateways.get(key)
  if (gateway === undefined) return `there is no Gateway ${key}: nobody enforces the policy`
  return `enforced by ${isWaypoint(gateway) ? 'waypoint' : 'Gateway'} ${key} ${NOT_BY_NODES}`
}

function ofService(kind: string, key: string, context: TranslateContext): string {
  const { services, serviceEntries } = context.objects
  const object = kind === 'Service' ? services.get(key) : serviceEntries.get(key)
  if (object === undefined) return `there is no ${kind} ${key}: nobody enforces the policy`
  const { namespace, labels } = object.metadata
  const waypoint = waypointOf({ object, kind: 'service', namespace, labels }, context)
  return waypoint === undefined
    ? `${kind} ${key} has no waypoint: nobody enforces the policy`
    : `enforced by the waypoint of ${kind} ${key} ${NOT_BY_NODES}`
}
