import ipaddr from 'ipaddr.js'
import type { Locality, Port, ServiceKey, Workload } from '../../mesh/model.ts'
import { REDIRECTION_ANNOTATION, TUNNEL_LABEL } from './captured.ts'
import type { KubernetesObject, ObjectMeta } from './objects.ts'
import type { EndpointSpec, WorkloadEntry } from './objects-networking.ts'
import type { TranslateContext } from './translate-context.ts'
import { appProtocolOf, hostnameOf } from './translate-service.ts'
import { entryServices, type PublishedEntry, selectingEntries } from './translate-service-entry.ts'
import { waypointOf } from './waypoint-bindings.ts'
import { CANONICAL_NAME_LABELS, CANONICAL_REVISION_LABELS, firstLabel } from './workload-names.ts'

/** A WorkloadEntry as a workload, as istiod's ambient index makes it. `policies` as for a pod. */
export function translateWorkloadEntry(
  entry: WorkloadEntry,
  policies: readonly string[],
  context: TranslateContext,
): Workload {
  const { namespace, name } = entry.metadata
  return toWorkload(
    {
      uid: `${context.clusterId}/networking.istio.io/WorkloadEntry/${namespace}/${name}`,
      object: entry,
      metadata: entry.metadata,
      spec: entry.spec,
      policies,
      services: new Map([
        ...kubernetesServicesOf(entry, context),
        ...selectingEntries(entry, (port) => entry.spec.ports.get(port), context),
      ]),
    },
    context,
  )
}

/** The endpoints of a ServiceEntry as workloads; its hosts themselves, if they are to be resolved and it has no others. */
export function translateEntryEndpoints(
  published: PublishedEntry,
  policies: readonly string[],
  context: TranslateContext,
): readonly Workload[] {
  const { entry, hosts } = published
  const { metadata, spec } = entry
  if (hosts.length === 0 || spec.resolution === 'NONE') return []
  const { namespace, name } = metadata
  const workload = (endpoint: EndpointSpec, services: [ServiceKey, readonly Port[]][]) =>
    toWorkload(
      {
        uid: `${context.clusterId}/networking.istio.io/ServiceEntry/${namespace}/${name}/${endpoint.address}`,
        object: entry,
        metadata: { ...metadata, labels: endpoint.labels, annotations: {} },
        spec: endpoint,
        policies,
        services: new Map(services),
      },
      context,
    )
  if (spec.endpoints.length > 0) {
    const byUid = new Map<string, Workload>()
    for (const [index, endpoint] of spec.endpoints.entries()) {
      const made = workload(
        endpoint,
        entryServices(published, (port) => endpoint.ports.get(port)),
      )
      if (byUid.has(made.uid)) {
        const first = spec.endpoints.findIndex(({ address }) => address === endpoint.address)
        const other = { object: entry, field: `spec.endpoints[${first}].address` }
        const message = `${endpoint.address} is an endpoint already: only the first counts`
        context.warn(entry, `spec.endpoints[${index}].address`, message, other)
      } else byUid.set(made.uid, made)
    }
    return [...byUid.values()]
  }
  if (spec.resolution === 'STATIC' || spec.workloadSelector !== undefined) return []
  return hosts.map(({ host, canonical }) =>
    workload({ ...NO_ENDPOINT, address: host }, [
      ...entryServices({ entry, hosts: [{ host, canonical }] }, () => undefined),
    ]),
  )
}

const NO_ENDPOINT: EndpointSpec = {
  address: '',
  ports: new Map(),
  labels: {},
  network: '',
  locality: '',
  weight: 1,
  serviceAccount: '',
}

interface Endpoint {
  readonly uid: string
  readonly object: KubernetesObject
  readonly metadata: ObjectMeta
  readonly spec: EndpointSpec
  readonly policies: readonly string[]
  readonly services: ReadonlyMap<ServiceKey, readonly Port[]>
}

function toWorkload(endpoint: Endpoint, context: TranslateContext): Workload {
  const { uid, object, metadata, spec, policies, services } = endpoint
  const { namespace, name, labels } = metadata
  const { address, serviceAccount } = spec
  const isAddress = ipaddr.isValid(address)
  return {
    uid,
    name,
    namespace,
    serviceAccount,
    trustDomain: context.trustDomain,
    addresses: isAddress ? [address] : [],
    hostname: isAddress ? '' : address,
    network: spec.network === '' ? context.network : spec.network,
    node: '',
    clusterId: context.clusterId,
    ...tunnelOf(metadata),
    applicationTunnel: undefined,
    waypoint: waypointOf({ object, kind: 'workload', namespace, labels, serviceAccount }, context),
    networkGateway: undefined,
    networkMode: 'STANDARD',
    workloadName: name,
    workloadType: 'POD',
    canonicalName: firstLabel(labels, CANONICAL_NAME_LABELS) ?? name,
    canonicalRevision: firstLabel(labels, CANONICAL_REVISION_LABELS) ?? 'latest',
    services,
    authorizationPolicies: [...policies].sort(),
    status: 'HEALTHY',
    locality: localityOf(spec.locality),
    capacity: spec.weight,
  }
}

/** Nobody captures what runs outside a node: it speaks HBONE only if it says so. */
function tunnelOf({ labels, annotations }: ObjectMeta): Pick<Workload, 'tunnelProtocol' | 'nativeTunnel'> {
  const native = (labels[TUNNEL_LABEL] ?? '').split(',').some((protocol) => protocol.trim() === 'http')
  const captured = annotations[REDIRECTION_ANNOTATION] === 'enabled'
  return { tunnelProtocol: native || captured ? 'HBONE' : 'NONE', nativeTunnel: native }
}

function localityOf(text: string): Locality {
  const [region = '', zone = '', subzone = ''] = text.split('/')
  return { region, zone, subzone }
}

function kubernetesServicesOf(
  entry: WorkloadEntry,
  context: TranslateContext,
): [ServiceKey, readonly Port[]][] {
  const { metadata, spec } = entry
  return context.index.services.matching(entry).map((service): [ServiceKey, readonly Port[]] => {
    const mapped = service.spec.ports.flatMap((port): Port[] => {
      if (port.protocol !== 'TCP') return []
      const named = spec.ports.get(String(port.targetPort)) ?? spec.ports.get(port.name)
      const targetPort = named ?? (typeof port.targetPort === 'number' ? port.targetPort : undefined)
      if (targetPort === undefined) return []
      return [{ servicePort: port.port, targetPort, appProtocol: appProtocolOf(port) }]
    })
    return [`${metadata.namespace}/${hostnameOf(service, context)}`, mapped]
  })
}
