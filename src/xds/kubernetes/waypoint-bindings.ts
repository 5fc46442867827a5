import type { GatewayAddress } from '../../mesh/model.ts'
import { matchesSelector } from './label-selector.ts'
import type { KubernetesObject, ObjectMeta } from './objects.ts'
import type { Gateway, GatewayListener } from './objects-gateway.ts'
import type { TranslateContext } from './translate-context.ts'
import { inboundBindingOf } from './waypoint-inbound-binding.ts'

/** Label of a service, pod, entry or namespace: the waypoint that its traffic goes through, `none` for none. */
export const USE_WAYPOINT_LABEL = 'istio.io/use-waypoint'
/** Beside `istio.io/use-waypoint`: where the waypoint is, if not in the object's own namespace. */
export const USE_WAYPOINT_NAMESPACE_LABEL = 'istio.io/use-waypoint-namespace'
/** On a Gateway: what it serves: `service` (the default), `workload`, `all` or `none`. */
export const WAYPOINT_FOR_LABEL = 'istio.io/waypoint-for'
/** On a Gateway, as annotation or label: the service account whose pods it serves, in its namespace. */
export const FOR_SERVICE_ACCOUNT = 'istio.io/for-service-account'
/** On a pod: the Gateway that it is an instance of. */
export const GATEWAY_NAME_LABEL = 'gateway.networking.k8s.io/gateway-name'
export const WAYPOINT_CLASS = 'istio-waypoint'

/** What may be bound to a waypoint. */
export interface Bindable {
  /** For warnings: the object that the operator wrote. */
  readonly object: KubernetesObject
  readonly kind: 'service' | 'workload'
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  /** Of a workload. */
  readonly serviceAccount?: string
}

/** The waypoint of an object, or undefined if it has none: its traffic then goes direct, and why is warned of. */
export function waypointOf(bindable: Bindable, context: TranslateContext): GatewayAddress | undefined {
  if (isWaypointInstance(bindable, context)) return undefined
  const reference = referenceOf(bindable, context)
  if (reference === undefined) return undefined
  const { gateway, field } = reference
  const warn = (why: string) =>
    context.warn(reference.object, field, `${why}: its traffic goes direct, and no L7 policy holds for it`)
  const found = context.objects.gateways.get(gateway)
  if (found === undefined || !isWaypoint(found)) {
    warn(`there is no Gateway ${gateway} of class ${WAYPOINT_CLASS}`)
    return undefined
  }
  if (!admits(found, bindable.namespace, context)) {
    warn(`the listener of Gateway ${gateway} does not allow namespace ${bindable.namespace} (allowedRoutes)`)
    return undefined
  }
  const serves = servedBy(found)
  if (serves !== 'all' && serves !== bindable.kind) {
    // A namespace's waypoint for services is no waypoint for its pods, and none is missed.
    if (!reference.inherited) warn(`Gateway ${gateway} serves ${serves}, not ${bindable.kind}`)
    return undefined
  }
  const address = addressOf(found, context)
  if (address === undefined) warn(`Gateway ${gateway} has no address`)
  return address
}

/** Says which Gateways cannot serve, or not as they look. Once for each, however many objects are bound to it. */
export function checkGateways(context: TranslateContext): void {
  for (const gateway of context.objects.gateways.values()) {
    const { gatewayClassName } = gateway.spec
    if (!isWaypoint(gateway)) {
      const message = `${gatewayClassName} is not served here and has no effect; read is ${WAYPOINT_CLASS}`
      context.warn(gateway, 'spec.gatewayClassName', message)
      continue
    }
    const served = gateway.metadata.labels[WAYPOINT_FOR_LABEL]
    if (served !== undefined && !SERVED.includes(served)) {
      const message = `"${served}" is not known, so that it serves nothing: expected ${SERVED.join(', ')}`
      context.warn(gateway, `metadata.labels["${WAYPOINT_FOR_LABEL}"]`, message)
    }
    inboundBindingOf(gateway, (field, message) => context.warn(gateway, field, message))
    if (addressOf(gateway, context) === undefined) {
      const { namespace, name } = gateway.metadata
      const message = `not set, and there is no Service ${namespace}/${name} to stand for it: it serves nothing`
      context.warn(gateway, 'status.addresses', message)
    }
  }
}

/** Whether a Gateway is a waypoint. */
export function isWaypoint(gateway: Gateway): boolean {
  return gateway.spec.gatewayClassName === WAYPOINT_CLASS
}

/** The waypoint that something with these labels is an instance of. */
export function instanceOf(
  { namespace, labels }: Pick<ObjectMeta, 'namespace' | 'labels'>,
  { objects }: TranslateContext,
): Gateway | undefined {
  const gateway = objects.gateways.get(`${namespace}/${labels[GATEWAY_NAME_LABEL] ?? ''}`)
  return gateway !== undefined && isWaypoint(gateway) ? gateway : undefined
}

/** istiod's, on what it makes for a Gateway. */
const MANAGED_LABEL = 'gateway.istio.io/managed'
const MANAGED_BY_ISTIO: readonly (string | undefined)[] = [
  'istio.io-mesh-controller',
  'istio.io-eastwest-controller',
]
const SERVED: readonly string[] = ['service', 'workload', 'all', 'none']
/** Where a waypoint's HBONE listener is, whatever its Gateway says: istiod sends no other. */
const HBONE_PORT = 15008

interface Reference {
  /** `namespace/name` */
  readonly gateway: string
  readonly inherited: boolean
  /** Where it is written. */
  readonly object: KubernetesObject
  readonly field: string
}

/** Sent to itself, a waypoint's traffic would go round for ever. */
function isWaypointInstance(bindable: Bindable, context: TranslateContext): boolean {
  return (
    instanceOf(bindable, context) !== undefined || MANAGED_BY_ISTIO.includes(bindable.labels[MANAGED_LABEL])
  )
}

/** The object's own label, else the service account's waypoint, else the namespace's label. The first word is the last. */
function referenceOf(bindable: Bindable, context: TranslateContext): Reference | undefined {
  const field = `metadata.labels["${USE_WAYPOINT_LABEL}"]`
  const own = bindable.labels[USE_WAYPOINT_LABEL]
  if (own !== undefined) {
    const gateway = namedBy(bindable.labels, bindable.namespace)
    return gateway === undefined ? undefined : { gateway, inherited: false, object: bindable.object, field }
  }
  const ofAccount = context.index.accountWaypoints.get(`${bindable.namespace}/${bindable.serviceAccount}`)
  if (ofAccount !== undefined && bindable.serviceAccount !== undefined) {
    const name = `${ofAccount.metadata.namespace}/${ofAccount.metadata.name}`
    return { gateway: name, inherited: true, object: ofAccount, field: FOR_SERVICE_ACCOUNT }
  }
  const namespace = context.objects.namespaces.get(bindable.namespace)
  if (namespace === undefined) return undefined
  const gateway = namedBy(namespace.metadata.labels, bindable.namespace)
  return gateway === undefined ? undefined : { gateway, inherited: true, object: namespace, field }
}

function namedBy(labels: ObjectMeta['labels'], namespace: string): string | undefined {
  const name = labels[USE_WAYPOINT_LABEL]
  if (name === undefined || name === '' || name === 'none') return undefined
  return `${labels[USE_WAYPOINT_NAMESPACE_LABEL] ?? namespace}/${name}`
}

/** The service account whose pods a waypoint is for. */
export function accountOf({ metadata }: Gateway): string | undefined {
  return metadata.annotations[FOR_SERVICE_ACCOUNT] ?? metadata.labels[FOR_SERVICE_ACCOUNT]
}

/** A service account's waypoint that does not say what it serves can only mean the account's pods. */
function servedBy(gateway: Gateway): string {
  const byDefault = accountOf(gateway) === undefined ? 'service' : 'workload'
  return gateway.metadata.labels[WAYPOINT_FOR_LABEL] ?? byDefault
}

/** Whether the listener of a waypoint admits what is in a namespace. */
export function admits(gateway: Gateway, namespace: string, { objects }: TranslateContext): boolean {
  const allowed = meshListenerOf(gateway)?.allowedNamespaces ?? { from: 'Same' as const }
  if (allowed.from === 'All') return true
  if (allowed.from === 'Same') return gateway.metadata.namespace === namespace
  if (allowed.from !== 'Selector') return false
  return matchesSelector(allowed.selector, objects.namespaces.get(namespace)?.metadata.labels ?? {})
}

/** The listener whose allowedRoutes count: the one that pods are told to reach it by, else the one for HBONE. */
function meshListenerOf(gateway: Gateway): GatewayListener | undefined {
  const binding = inboundBindingOf(gateway)
  return gateway.spec.listeners.find(({ port, protocol }) =>
    binding?.port === undefined ? port === HBONE_PORT && protocol === 'HBONE' : port === binding.port,
  )
}

/** As its status says; without one, the Service that bears its name, as istiod would make it. */
function addressOf(gateway: Gateway, context: TranslateContext): GatewayAddress | undefined {
  const { namespace, name } = gateway.metadata
  const { addresses } = gateway.status
  const hostname = addresses.find(({ type }) => type === 'Hostname')?.value
  if (hostname !== undefined) return { kind: 'hostname', namespace, hostname, hboneMtlsPort: HBONE_PORT }
  const [address] = addresses
  if (address !== undefined) {
    return { kind: 'address', network: context.network, address: address.value, hboneMtlsPort: HBONE_PORT }
  }
  if (!context.objects.services.has(`${namespace}/${name}`)) return undefined
  const ofService = `${name}.${namespace}.svc.${context.domain}`
  return { kind: 'hostname', namespace, hostname: ofService, hboneMtlsPort: HBONE_PORT }
}
