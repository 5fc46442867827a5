import type { RouteParent } from '../../mesh/http/route-model.ts'
import type { ParentReference, RouteObject } from './objects-route.ts'
import { type ReferredService, referredService } from './route-services.ts'
import type { TranslateContext } from './translate-context.ts'
import { admits, isWaypoint, WAYPOINT_CLASS, waypointOf } from './waypoint-bindings.ts'

/** What a route is attached to: Services as GAMMA has it (GEP-1426), or a waypoint. What it cannot be is warned of. */
export function parentsOf(route: RouteObject, context: TranslateContext): readonly RouteParent[] {
  const { parentRefs } = route.spec
  if (parentRefs.length === 0) context.warn(route, 'spec.parentRefs', 'none: the route has no effect')
  return parentRefs.flatMap((reference, index) => {
    const warn = (message: string) => context.warn(route, `spec.parentRefs[${index}]`, message)
    return reference.kind === 'Gateway' && reference.group === GATEWAY_GROUP
      ? ofGateway(reference, route, context, warn)
      : ofService(reference, route, context, warn)
  })
}

const GATEWAY_GROUP = 'gateway.networking.k8s.io'

type Warn = (message: string) => void

function ofService(
  reference: ParentReference,
  route: RouteObject,
  context: TranslateContext,
  warn: Warn,
): readonly RouteParent[] {
  const found = referredService(reference, route.metadata.namespace, context)
  if ('reason' in found || reference.kind === 'Hostname') {
    warn(
      `${'reason' in found ? found.reason : 'a Hostname is a backend only'}: the route has no effect there`,
    )
    return []
  }
  const port = portOf(reference, found)
  if (port === 'none') {
    const known = found.ports.map(({ name, port }) => (name === '' ? `${port}` : `${port} (${name})`))
    warn(`the Service has no such port, it has ${known.join(', ')}: the route has no effect there`)
    return []
  }
  warnOfNoEffect(found, context, warn)
  return found.keys.map((service) => ({ kind: 'service', service, port }))
}

/** By number, by name, or both; undefined for all ports. */
function portOf(
  { port, sectionName }: ParentReference,
  { ports }: ReferredService,
): number | undefined | 'none' {
  if (port === undefined && sectionName === undefined) return undefined
  const found = ports.find((one) => (port ?? one.port) === one.port && (sectionName ?? one.name) === one.name)
  return found === undefined ? 'none' : found.port
}

function warnOfNoEffect({ object, namespace }: ReferredService, context: TranslateContext, warn: Warn): void {
  const { name, labels } = object.metadata
  const what = `${object.kind} ${namespace}/${name}`
  if (object.kind === 'Service' && object.spec.headless) {
    warn(`${what} is headless: its clients call pods, which routes do not change (GEP-1426)`)
    return
  }
  if (waypointOf({ object, kind: 'service', namespace, labels }, context) !== undefined) return
  warn(`${what} has no waypoint: nobody follows the route`)
}

function ofGateway(
  { name, namespace: given, sectionName, port }: ParentReference,
  route: RouteObject,
  context: TranslateContext,
  warn: Warn,
): readonly RouteParent[] {
  const namespace = given ?? route.metadata.namespace
  const gateway = context.objects.gateways.get(`${namespace}/${name}`)
  if (gateway === undefined || !isWaypoint(gateway)) {
    const what = gateway === undefined ? 'there is no' : 'no waypoint is'
    warn(`${what} Gateway ${namespace}/${name} of class ${WAYPOINT_CLASS}: the route has no effect there`)
    return []
  }
  const { listeners } = gateway.spec
  const isListener = listeners.some(
    (one) => (sectionName ?? one.name) === one.name && (port ?? one.port) === one.port,
  )
  if ((sectionName !== undefined || port !== undefined) && !isListener) {
    warn(`Gateway ${namespace}/${name} has no such listener: the route has no effect there`)
    return []
  }
  if (!admits(gateway, route.metadata.namespace, context)) {
    const { namespace: own } = route.metadata
    warn(`the listener of Gateway ${namespace}/${name} does not allow namespace ${own} (allowedRoutes)`)
    return []
  }
  return [{ kind: 'gateway', namespace, name, port: undefined }]
}
