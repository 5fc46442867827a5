import type { PolicyTarget } from '../../mesh/http/policy-model.ts'
import type { Service, TargetReference } from './objects.ts'
import type { ServiceEntry } from './objects-networking.ts'
import type { TranslateContext } from './translate-context.ts'
import { isWaypoint, WAYPOINT_CLASS, waypointOf } from './waypoint-bindings.ts'

/** What a reference of a policy comes to. */
export interface Enforcement {
  /** What waypoints look the policy up by; none when no waypoint enforces it. */
  readonly targets: readonly PolicyTarget[]
  /** Undefined when waypoints enforce it, for all that the reference names. */
  readonly warning: string | undefined
}

/**
 * Who enforces a policy that is bound to an object: waypoints, never a node
 * proxy, and nobody if the object has none. An operator who reads only that
 * the policy is there would take its traffic for covered.
 */
export function enforcementOf(
  reference: TargetReference,
  policyNamespace: string,
  context: TranslateContext,
): Enforcement {
  const { group, kind, name, namespace } = reference
  const key = `${policyNamespace}/${name}`
  if (GROUPS.get(kind) !== group) {
    const known = [...GROUPS].map(([kind, group]) => `${kind} of group "${group}"`).join(', ')
    return nobody(`${kind} of group "${group}" cannot be bound: expected ${known}`)
  }
  if (namespace !== undefined && namespace !== policyNamespace) {
    return nobody(`${kind} ${namespace}/${name} is of another namespace, which Istio refuses`)
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

function ofClass(name: string, policyNamespace: string, { rootNamespace }: TranslateContext): Enforcement {
  if (policyNamespace !== rootNamespace) {
    return nobody(`GatewayClass ${name} can be bound in the root namespace ${rootNamespace} only`)
  }
  if (name !== WAYPOINT_CLASS) return byOthers(`gateways of class ${name}`)
  return { targets: [{ kind: 'gatewayClass', name }], warning: undefined }
}

function ofGateway(key: string, { objects }: TranslateContext): Enforcement {
  const gateway = objects.gateways.get(key)
  if (gateway === undefined) return nobody(`there is no Gateway ${key}`)
  if (!isWaypoint(gateway)) return byOthers(`Gateway ${key}`)
  const { namespace, name } = gateway.metadata
  return { targets: [{ kind: 'gateway', namespace, name }], warning: undefined }
}

function ofService(kind: string, key: string, context: TranslateContext): Enforcement {
  const { services, serviceEntries } = context.objects
  const object = kind === 'Service' ? services.get(key) : serviceEntries.get(key)
  if (object === undefined) return nobody(`there is no ${kind} ${key}`)
  const { namespace, labels } = object.metadata
  const targets = hostsOf(object, context).map(
    (host): PolicyTarget => ({ kind: 'service', service: `${namespace}/${host}` }),
  )
  const waypoint = waypointOf({ object, kind: 'service', namespace, labels }, context)
  // Published all the same: a waypoint may be bound later, and must not be without it for a moment.
  if (waypoint === undefined) return { ...nobody(`${kind} ${key} has no waypoint`), targets }
  return { targets, warning: undefined }
}

function hostsOf(object: Service | ServiceEntry, { domain, published }: TranslateContext): readonly string[] {
  const { name, namespace } = object.metadata
  if (object.kind === 'Service') return [`${name}.${namespace}.svc.${domain}`]
  return published.find(({ entry }) => entry === object)?.hosts.map(({ host }) => host) ?? []
}

function nobody(why: string): Enforcement {
  return { targets: [], warning: `${why}: nobody enforces the policy` }
}

function byOthers(who: string): Enforcement {
  return {
    targets: [],
    warning: `enforced by ${who} alone, which istiod configures, and not by waypoints or node proxies`,
  }
}
