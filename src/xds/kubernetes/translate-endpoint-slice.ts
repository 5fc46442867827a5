import type { Port, ServiceKey, Workload } from '../../mesh/model.ts'
import type { Pod, Service } from './objects.ts'
import type { EndpointSlice } from './objects-discovery.ts'
import type { TranslateContext } from './translate-context.ts'
import { appProtocolOf, hostnameOf } from './translate-service.ts'

/** By `namespace/name` of a pod: the services that slices make it an endpoint of. */
export type SlicedPods = ReadonlyMap<string, ReadonlyMap<ServiceKey, readonly Port[]>>

/**
 * The addresses that somebody wrote into a slice, as workloads: nothing is
 * known of them but where they are, so that connections to them go plain and
 * without waypoint, and an address says nothing of who has it. Pods in a
 * slice are workloads already; names are not looked up.
 */
export function translateEndpointSlice(slice: EndpointSlice, context: TranslateContext): readonly Workload[] {
  const service = serviceOf(slice, context)
  if (service === undefined) return []
  if (slice.addressType === 'FQDN') {
    context.warn(slice, 'addressType', 'hostnames are not looked up: the slice has no effect')
    return []
  }
  const services = new Map([[keyOf(service, context), portsOf(slice, service, context)]])
  const byUid = new Map<string, Workload>()
  for (const { addresses, ready, targetRef } of slice.endpoints) {
    const [address] = addresses
    if (targetRef?.kind === 'Pod' || address === undefined) continue
    const { namespace, name } = slice.metadata
    const uid = `${context.clusterId}/discovery.k8s.io/EndpointSlice/${namespace}/${name}/${address}`
    // An address that is there twice is one endpoint.
    if (byUid.has(uid)) continue
    byUid.set(uid, {
      uid,
      name,
      namespace,
      addresses,
      services,
      status: ready ? 'HEALTHY' : 'UNHEALTHY',
      ...UNKNOWN,
      trustDomain: context.trustDomain,
      network: context.network,
      clusterId: context.clusterId,
      workloadName: name,
      canonicalName: name,
    })
  }
  return [...byUid.values()]
}

/** The pods that slices name for services without a selector. */
export function slicedPods(context: TranslateContext): SlicedPods {
  const { endpointSlices, pods } = context.objects
  const byPod = new Map<string, Map<ServiceKey, readonly Port[]>>()
  for (const slice of endpointSlices.values()) {
    const service = serviceOf(slice, context)
    // With a selector, the pods' labels decide, and the slice only repeats it.
    if (service === undefined || Object.keys(service.spec.selector).length > 0) continue
    for (const [index, { targetRef }] of slice.endpoints.entries()) {
      if (targetRef?.kind !== 'Pod') continue
      const pod = `${slice.metadata.namespace}/${targetRef.name}`
      if (!pods.has(pod)) {
        const message = `there is no Pod ${pod}: the endpoint has no effect`
        context.warn(slice, `endpoints[${index}].targetRef`, message)
        continue
      }
      const services = byPod.get(pod) ?? new Map<ServiceKey, readonly Port[]>()
      byPod.set(pod, services.set(keyOf(service, context), portsOf(slice, service, context)))
    }
  }
  return byPod
}

/** The services that slices make a pod an endpoint of. */
export function sliceServicesOf(
  { metadata }: Pod,
  { slicedPods }: TranslateContext,
): ReadonlyMap<ServiceKey, readonly Port[]> {
  return slicedPods.get(`${metadata.namespace}/${metadata.name}`) ?? NO_SERVICES
}

const NO_SERVICES: ReadonlyMap<ServiceKey, readonly Port[]> = new Map()

/** Label of a slice: the service, in its namespace, that it is of. */
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'

/** What an address alone does not say. Addresses may overlap with others', which no lookup by address must mistake. */
const UNKNOWN = {
  hostname: '',
  serviceAccount: '',
  node: '',
  tunnelProtocol: 'NONE',
  nativeTunnel: false,
  applicationTunnel: undefined,
  waypoint: undefined,
  networkGateway: undefined,
  networkMode: 'HOST_NETWORK',
  workloadType: 'POD',
  canonicalRevision: 'latest',
  authorizationPolicies: [],
  locality: { region: '', zone: '', subzone: '' },
  capacity: 1,
} as const satisfies Partial<Workload>

function serviceOf(slice: EndpointSlice, context: TranslateContext): Service | undefined {
  const { labels, namespace } = slice.metadata
  const name = labels[SERVICE_NAME_LABEL]
  if (name === undefined) {
    const message = `has no ${SERVICE_NAME_LABEL}: a slice of no service has no effect`
    context.warn(slice, 'metadata.labels', message)
    return undefined
  }
  const service = context.objects.services.get(`${namespace}/${name}`)
  if (service !== undefined && service.spec.type !== 'ExternalName') return service
  const message = `there is no Service ${namespace}/${name} with endpoints: the slice has no effect`
  context.warn(slice, `metadata.labels["${SERVICE_NAME_LABEL}"]`, message)
  return undefined
}

function keyOf(service: Service, context: TranslateContext): ServiceKey {
  return `${service.metadata.namespace}/${hostnameOf(service, context)}`
}

/** A slice's ports carry the names of the service's and the numbers of the endpoint's. */
function portsOf(slice: EndpointSlice, service: Service, context: TranslateContext): readonly Port[] {
  return slice.ports.flatMap(({ name, port, protocol }, index): readonly Port[] => {
    if (protocol !== 'TCP' || port === undefined) return []
    const of = service.spec.ports.find((candidate) => candidate.name === name && candidate.protocol === 'TCP')
    if (of === undefined) {
      const message = `Service ${service.metadata.name} has no TCP port named "${name}": this port leads nowhere`
      context.warn(slice, `ports[${index}].name`, message)
      return []
    }
    return [{ servicePort: of.port, targetPort: port, appProtocol: appProtocolOf(of) }]
  })
}
