import type { BackendTarget, RouteParent } from '../../mesh/http/route-model.ts'
import type { BackendReference, RouteObject } from './objects-route.ts'
import { type ReferredService, referredService } from './route-services.ts'
import type { TranslateContext } from './translate-context.ts'

/**
 * Where a backend of a route leads. One that leads nowhere stays in the route
 * with its reason: its share of requests is to fail, not to go elsewhere.
 */
export function backendOf(
  reference: BackendReference,
  route: RouteObject,
  parents: readonly RouteParent[],
  context: TranslateContext,
): BackendTarget {
  const { namespace } = route.metadata
  const found = referredService(reference, namespace, context)
  if ('reason' in found) return invalid(found.reason)
  const [service] = found.keys
  const { kind, name, port } = reference
  const what = kind === 'Hostname' ? `${kind} ${name}` : `${kind} ${found.namespace}/${name}`
  if (service === undefined) return invalid(`${what} speaks for no host`)
  if (found.keys.length > 1)
    return invalid(`${what} has several hosts: name one, as a backend of kind Hostname`)
  if (port === undefined) return invalid(`the backend ${what} has no port: a Service needs one`)
  if (!found.ports.some((one) => one.port === port)) return invalid(`${what} has no TCP port ${port}`)
  if (found.namespace !== namespace && needsGrant(parents, service, namespace)) {
    const isGranted = grantOf(found, route, context)
    const who = `${route.kind}s of namespace ${namespace}`
    if (!isGranted)
      return invalid(`no ReferenceGrant in ${found.namespace} allows ${who} to refer to ${what}`)
  }
  return { kind: 'service', service, port }
}

/**
 * Whether a backend in another namespace takes the consent of that namespace.
 * Routes of a Service's own namespace need none (GEP-1426): whoever writes
 * them could send there himself. But a waypoint sends under its own identity.
 * A route that others attach to it, to a Service of another namespace or to
 * the Gateway, would let them reach, in the waypoint's name, what may be
 * closed to them. The Service that it is attached to is open to it.
 */
function needsGrant(parents: readonly RouteParent[], service: string, namespace: string): boolean {
  const isProducer = parents.every(
    (parent) => parent.kind === 'service' && parent.service.startsWith(`${namespace}/`),
  )
  const isParent = parents.every((parent) => parent.kind === 'service' && parent.service === service)
  return !isProducer && !isParent
}

/** Whether the backend's namespace allows the reference. */
function grantOf(
  { object, namespace }: ReferredService,
  route: RouteObject,
  context: TranslateContext,
): boolean {
  const group = object.kind === 'Service' ? '' : 'networking.istio.io'
  return [...context.objects.referenceGrants.values()].some(
    ({ metadata, spec }) =>
      metadata.namespace === namespace &&
      spec.from.some(
        (from) =>
          from.group === 'gateway.networking.k8s.io' &&
          from.kind === route.kind &&
          from.namespace === route.metadata.namespace,
      ) &&
      spec.to.some(
        (to) =>
          to.group === group &&
          to.kind === object.kind &&
          (to.name === undefined || to.name === object.metadata.name),
      ),
  )
}

function invalid(reason: string): BackendTarget {
  return { kind: 'invalid', reason }
}
