import {
  type AuthorizationPolicy,
  addressFamily,
  formatHostPort,
  type MeshView,
  type Port,
  type Service,
  serviceKey,
  type Workload,
} from '../mesh/index.ts'
import { bootstrap, internalListener, type Json } from './envoy.ts'
import { SidecarError } from './errors.ts'
import {
  type InboundOptions,
  inboundChains,
  inboundClusters,
  legacyListener,
  type ServedPort,
} from './inbound.ts'
import { originateCluster, originateListener } from './originate.ts'
import { type OutboundPort, outboundClusters, outboundListener } from './outbound.ts'
import { policyFilters } from './rbac.ts'
import { MAIN, mainCluster, terminateListener } from './terminate.ts'
import type { TlsFiles } from './tls.ts'

export interface WorkloadBootstrapOptions {
  readonly tls: TlsFiles
  /** The application's ports that no service has, beside those that one has. */
  readonly ports?: readonly number[]
  /** `SO_MARK` of what Envoy itself opens, so that redirection lets it through; needs CAP_NET_ADMIN. Default none. */
  readonly packetMark?: number
}

/**
 * A bootstrap for Envoy as the sidecar of a workload, from what the mesh is
 * now: HBONE in on 15008 and out by 15001, other sidecars and plaintext on
 * 15006, and the workload's L4 policies. Static: what changes later asks for
 * another one. Throws SidecarError `no-address`, `policy-too-large`.
 */
export function workloadBootstrap(
  mesh: MeshView,
  workload: Workload,
  options: WorkloadBootstrapOptions,
): Json {
  const { addresses, trustDomain } = workload
  const name = `${workload.namespace}/${workload.name}`
  const [address] = addresses
  if (address === undefined)
    throw new SidecarError('no-address', `workload ${name} has no address to listen on`)
  const { tls } = options
  const ipv6 = addresses.some((own) => addressFamily(own) === 6)
  const inbound = { addresses, ports: servedPorts(mesh, workload, options.ports ?? []) }
  const outbound = { ports: outboundPorts(mesh, workload), hbonePods: hbonePods(mesh, workload), ipv6 }
  const policies = mesh.policiesFor(workload)
  const served = inbound.ports.length > 0 ? inboundListeners(inbound, policies, tls, trustDomain) : []
  const listeners = [...served, outboundListener(outbound), originateListener()]
  const clusters = [
    mainCluster(),
    ...inboundClusters(inbound),
    ...outboundClusters(outbound),
    originateCluster({ tls, trustDomain }),
  ]
  const node = {
    id: `sidecar~${address}~${workload.name}.${workload.namespace}`,
    cluster: workload.canonicalName,
  }
  const { packetMark } = options
  return { ...bootstrap(listeners, clusters, node), ...(packetMark === undefined ? {} : marked(packetMark)) }
}

/** None for a pod without ports: Envoy would not have a listener that leads nowhere. */
function inboundListeners(
  inbound: InboundOptions,
  policies: readonly AuthorizationPolicy[],
  tls: TlsFiles,
  trustDomain: string,
): readonly Json[] {
  const { addresses, ports } = inbound
  const authorities = addresses.flatMap((address) => ports.map(({ port }) => formatHostPort(address, port)))
  const onTunnels = policyFilters(policies, { kind: 'tunnel', addresses }, 'inbound')
  const onConnections = policyFilters(policies, { kind: 'connection' }, 'legacy')
  return [
    terminateListener({ addresses, tls, trustDomain, authorities, filters: onTunnels }),
    internalListener(MAIN, inboundChains(inbound)),
    legacyListener({ ...inbound, tls, trustDomain, strict: false, filters: onConnections }),
  ]
}

function servedPorts(mesh: MeshView, workload: Workload, more: readonly number[]): readonly ServedPort[] {
  const ports = new Set(more)
  for (const [key, own] of workload.services) {
    for (const { targetPort } of own) ports.add(targetPort)
    if (own.length === 0) for (const { targetPort } of mesh.service(key)?.ports ?? []) ports.add(targetPort)
  }
  ports.delete(0)
  return [...ports].sort((a, b) => a - b).map((port) => ({ port }))
}

function outboundPorts(mesh: MeshView, source: Workload): readonly OutboundPort[] {
  return [...mesh.services()].flatMap((service) => {
    const addresses = service.addresses
      .filter(
        ({ network, address }) => mesh.serviceByAddress({ network, address }, source.namespace) === service,
      )
      .map(({ address }) => address)
    if (addresses.length === 0 || service.loadBalancing.mode === 'PASSTHROUGH') return []
    return service.ports.map(({ servicePort, targetPort }) => ({
      name: `${service.hostname}_${servicePort}`,
      addresses,
      port: servicePort,
      ...endpointsOf(mesh, source, service, { servicePort, targetPort }),
    }))
  })
}

/** Those that take HBONE, if any does: a cluster speaks one way. */
function endpointsOf(
  mesh: MeshView,
  source: Workload,
  service: Service,
  { servicePort, targetPort }: Pick<Port, 'servicePort' | 'targetPort'>,
): Pick<OutboundPort, 'endpoints' | 'hbone'> {
  const all = mesh.endpoints(serviceKey(service)).flatMap(({ workload, ports }) => {
    const [address] = workload.addresses
    const port = ports.get(servicePort) ?? targetPort
    if (address === undefined || port === 0 || workload.network !== source.network) return []
    return [{ address, port, hbone: workload.tunnelProtocol === 'HBONE' }]
  })
  const hbone = all.some((endpoint) => endpoint.hbone)
  const used = all.filter((endpoint) => endpoint.hbone === hbone)
  return { hbone, endpoints: used.map(({ address, port }) => ({ address, port })) }
}

function hbonePods(mesh: MeshView, source: Workload): readonly string[] {
  return [...mesh.workloads()]
    .filter(
      (workload) =>
        workload.tunnelProtocol === 'HBONE' &&
        workload.network === source.network &&
        workload.networkMode === 'STANDARD' &&
        workload.uid !== source.uid,
    )
    .flatMap(({ addresses }) => addresses)
}

function marked(mark: number): Json {
  const option = { level: SOL_SOCKET, name: SO_MARK, int_value: mark, state: 'STATE_PREBIND' }
  const source_address = { address: '0.0.0.0', port_value: 0 }
  return { cluster_manager: { upstream_bind_config: { source_address, socket_options: [option] } } }
}

/** socket(7). */
const SOL_SOCKET = 1
const SO_MARK = 36
