import type { HealthStatus, Port, ServiceKey, Workload } from '../../mesh/model.ts'
import { isCaptured, REDIRECTION_ANNOTATION, TUNNEL_LABEL } from './captured.ts'
import { localityOfNode } from './node-locality.ts'
import type { Pod, Service } from './objects.ts'
import type { TranslateContext } from './translate-context.ts'
import { sliceServicesOf } from './translate-endpoint-slice.ts'
import { appProtocolOf, hostnameOf } from './translate-service.ts'
import { selectingEntries } from './translate-service-entry.ts'
import { instanceOf, waypointOf } from './waypoint-bindings.ts'
import { inboundBindingOf } from './waypoint-inbound-binding.ts'
import { CANONICAL_NAME_LABELS, CANONICAL_REVISION_LABELS, firstLabel } from './workload-names.ts'

/**
 * A pod as a workload, as istiod's ambient index makes it. Undefined for a pod
 * that has ended or has no address yet. `policies` are the names of the
 * selector-scoped policies that apply to it.
 */
export function translatePod(
  pod: Pod,
  policies: readonly string[],
  context: TranslateContext,
): Workload | undefined {
  const { metadata, spec, status } = pod
  if (hasEnded(pod)) return undefined
  if (status.podIPs.length === 0) {
    context.warn(pod, 'status.podIP', 'not set: a pod without an address is not in the mesh')
    return undefined
  }
  if (spec.nodeName === '') {
    context.warn(pod, 'spec.nodeName', 'not set: no node will capture the pod or ask for its certificate')
  }
  const owner = ownerOf(pod)
  const { labels } = metadata
  return {
    uid: `${context.clusterId}//Pod/${metadata.namespace}/${metadata.name}`,
    name: metadata.name,
    namespace: metadata.namespace,
    serviceAccount: spec.serviceAccountName,
    trustDomain: context.trustDomain,
    addresses: status.podIPs,
    hostname: '',
    network: context.network,
    node: spec.nodeName,
    clusterId: context.clusterId,
    ...tunnelOf(pod, context),
    ...gatewayFieldsOf(pod, context),
    networkGateway: undefined,
    networkMode: spec.hostNetwork ? 'HOST_NETWORK' : 'STANDARD',
    workloadName: owner,
    workloadType: 'POD',
    canonicalName: firstLabel(labels, CANONICAL_NAME_LABELS) ?? owner,
    canonicalRevision: firstLabel(labels, CANONICAL_REVISION_LABELS) ?? 'latest',
    services: servicesOf(pod, context),
    authorizationPolicies: [...policies].sort(),
    status: healthOf(pod),
    locality: localityOfNode(spec.nodeName, context),
    capacity: 1,
  }
}

/** A pod that has ended keeps the address that another may have now. */
export function hasEnded({ status: { phase } }: Pod): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

/** A CronJob names its Jobs after itself and the scheduled time in minutes. */
const CRONJOB_SUFFIX = /-\d{8,}$/

/** The name that the pod's author knows: the Deployment's rather than its ReplicaSet's. */
function ownerOf({ metadata }: Pod): string {
  const owner = metadata.ownerReferences.find(({ controller }) => controller)
  if (owner === undefined) return metadata.name
  if (owner.kind === 'ReplicaSet') {
    const hash = metadata.labels['pod-template-hash']
    if (hash !== undefined && owner.name.endsWith(`-${hash}`)) return owner.name.slice(0, -hash.length - 1)
  }
  if (owner.kind === 'Job') return owner.name.replace(CRONJOB_SUFFIX, '')
  return owner.name
}

/**
 * Where istio-cni writes down that it captured a pod, a folder has nobody to
 * write: a pod that is enrolled counts as captured, unless it says `pending`.
 */
function tunnelOf(pod: Pod, context: TranslateContext): Pick<Workload, 'tunnelProtocol' | 'nativeTunnel'> {
  const { labels, annotations, namespace } = pod.metadata
  const native = (labels[TUNNEL_LABEL] ?? '').split(',').some((protocol) => protocol.trim() === 'http')
  if (native) return { tunnelProtocol: 'HBONE', nativeTunnel: true }
  const redirection = annotations[REDIRECTION_ANNOTATION]
  const captured = redirection === 'enabled' || isCaptured(pod, context.objects.namespaces.get(namespace))
  return { tunnelProtocol: captured && redirection !== 'pending' ? 'HBONE' : 'NONE', nativeTunnel: false }
}

/** A file that says nothing of conditions describes a pod that is ready. */
function healthOf({ metadata, status }: Pod): HealthStatus {
  if (metadata.deletionTimestamp !== undefined) return 'UNHEALTHY'
  if (status.conditions === undefined) return 'HEALTHY'
  const ready = status.conditions.find(({ type }) => type === 'Ready')
  return ready?.status === 'True' ? 'HEALTHY' : 'UNHEALTHY'
}

/** A waypoint's own pods have none, and may want their connections wrapped. */
function gatewayFieldsOf(
  pod: Pod,
  context: TranslateContext,
): Pick<Workload, 'applicationTunnel' | 'waypoint'> {
  const { namespace, labels } = pod.metadata
  const instanced = instanceOf(pod.metadata, context)
  if (instanced !== undefined) return { applicationTunnel: inboundBindingOf(instanced), waypoint: undefined }
  const { serviceAccountName: serviceAccount } = pod.spec
  const waypoint = waypointOf({ object: pod, kind: 'workload', namespace, labels, serviceAccount }, context)
  return { applicationTunnel: undefined, waypoint }
}

function servicesOf(pod: Pod, context: TranslateContext): ReadonlyMap<ServiceKey, readonly Port[]> {
  const services = new Map<ServiceKey, readonly Port[]>()
  for (const service of context.index.services.matching(pod)) {
    services.set(`${service.metadata.namespace}/${hostnameOf(service, context)}`, portsOf(service, pod))
  }
  for (const [key, ports] of sliceServicesOf(pod, context)) services.set(key, ports)
  for (const [key, ports] of selectingEntries(pod, (name) => namedPort(name, pod), context))
    services.set(key, ports)
  return services
}

/** Where a named port of a service leads in a pod. */
export function namedPort(name: string, pod: Pod): number | undefined {
  return pod.spec.ports.find((port) => port.name === name && port.protocol === 'TCP')?.containerPort
}

/** A named port that the pod does not have is left out; the pod stays an endpoint for the others. */
function portsOf(service: Service, pod: Pod): readonly Port[] {
  const ports: Port[] = []
  for (const port of service.spec.ports) {
    if (port.protocol !== 'TCP') continue
    const targetPort = typeof port.targetPort === 'number' ? port.targetPort : namedPort(port.targetPort, pod)
    if (targetPort === undefined) continue
    ports.push({ servicePort: port.port, targetPort, appProtocol: appProtocolOf(port) })
  }
  return ports
}
