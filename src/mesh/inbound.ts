import { addressFamily, canonicalAddress, formatSocketAddress, isAddress } from './addresses.ts'
import type { MeshView } from './mesh-view.ts'
import type { NetworkAddress, Service, Workload } from './model.ts'
import { formatGateway, serviceKey } from './names.ts'
import type { RouteStep, SocketAddress } from './route.ts'
import { isGatewayInstance } from './upstream.ts'

export interface ResolveInboundInput {
  /** The captured workload that was reached. */
  readonly workload: Workload
  /** The address and port at which it was reached. */
  readonly connectionDestination: SocketAddress
  /** `:authority` of the CONNECT; the host is an address or a hostname. */
  readonly authority: { readonly host: string; readonly port: number }
  /** The NETWORK setting. */
  readonly network: string
  /** `host` of the Forwarded header. */
  readonly forwardedHost?: string | undefined
  /** Ports on which this proxy itself listens. */
  readonly illegalPorts: ReadonlySet<number>
}

/** What to do with a CONNECT that reached a captured workload. */
export type InboundRoute =
  | {
      readonly kind: 'accepted'
      /** What to dial, and what policies see as the destination. Always the workload's own address. */
      readonly upstream: SocketAddress
      /** The application is told by PROXY protocol where the client wanted to go. */
      readonly tunnel?: { readonly protocol: 'PROXY'; readonly target: SocketAddress }
      /** The service that the client asked for, where that can be told: for labels only. */
      readonly service?: Service
      readonly steps: readonly RouteStep[]
    }
  | {
      readonly kind: 'refused'
      /** HTTP status of the answer (wire/ztunnel 5.3). */
      readonly status: 400 | 503
      readonly message: string
      readonly steps: readonly RouteStep[]
    }

/**
 * Decides where an inbound tunnel leads (wire/ztunnel 5.4, 5.5, 5.8). Pure.
 * Steps: `validate-destination`, `inbound-upstream`, `application-tunnel`,
 * `service-guess`.
 */
export function resolveInbound(mesh: MeshView, input: ResolveInboundInput): InboundRoute {
  const steps: RouteStep[] = []
  const asked = parseAuthority(input)
  const mismatch = validateDestination(mesh, input, asked, steps)
  if (mismatch !== undefined) return { kind: 'refused', status: 400, message: mismatch, steps }
  const resolved = resolvePort(mesh, input, asked, steps)
  if (typeof resolved === 'string') return { kind: 'refused', status: 503, message: resolved, steps }
  // Before the tunnel's own port: that one is chosen by the mesh, not by the peer.
  if (input.illegalPorts.has(resolved.port)) {
    return { kind: 'refused', status: 503, message: 'attempted recursive call to ourselves', steps }
  }
  const service = resolved.service ?? guessService(mesh, input.workload, resolved.port, input.forwardedHost)
  if (service !== undefined) steps.push({ step: 'service-guess', detail: `for ${serviceKey(service)}` })
  return accept(input, asked, { port: resolved.port, service, named: resolved.service }, steps)
}

/**
 * The service that a client probably meant: the one that it names, else the
 * first that leads to the port (wire/ztunnel 5.8). For labels, never for
 * decisions.
 */
export function guessService(
  mesh: MeshView,
  workload: Workload,
  port: number,
  forwardedHost?: string,
): Service | undefined {
  let byPort: Service | undefined
  for (const [key, own] of workload.services) {
    const service = mesh.service(key)
    if (service === undefined) continue
    if (service.hostname === forwardedHost) return service
    const leads = service.ports.some(({ targetPort }) => targetPort === port)
    if (leads || own.some(({ targetPort }) => targetPort === port)) byPort ??= service
  }
  return byPort
}

/** An address of the tunnel's authority, canonical, or a hostname. */
type Asked =
  | { readonly kind: 'address'; readonly target: SocketAddress }
  | { readonly kind: 'hostname'; readonly hostname: string; readonly port: number }

function parseAuthority({ authority: { host, port } }: ResolveInboundInput): Asked {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  return isAddress(bare)
    ? { kind: 'address', target: { address: canonicalAddress(bare), port } }
    : { kind: 'hostname', hostname: host, port }
}

/** Why this workload may not be asked for that destination, or undefined when it may (wire/ztunnel 5.4). */
function validateDestination(
  mesh: MeshView,
  { workload, connectionDestination, network }: ResolveInboundInput,
  asked: Asked,
  steps: RouteStep[],
): string | undefined {
  const pass = (detail: string): undefined => void steps.push({ step: 'validate-destination', detail })
  if (asked.kind === 'hostname') return pass(`${asked.hostname} is a hostname`)
  const { address } = asked.target
  if (address === connectionDestination.address) return pass(`${address} is the address that was reached`)
  if (workload.applicationTunnel !== undefined) return pass(`${workload.uid} has an application tunnel`)
  const waypoint = waypointOf(mesh, { network, address })
  if (waypoint !== undefined && isGatewayInstance(mesh, waypoint, workload)) {
    return pass(`${workload.uid} is the waypoint ${formatGateway(waypoint)} of ${address}`)
  }
  const detail = `${address} is not ${workload.uid}'s, which is no waypoint for it`
  steps.push({ step: 'validate-destination', detail })
  return `ip mismatch: ${connectionDestination.address} != ${address}`
}

/** A workload's address first, then a virtual one, whoever may see it. Weighted waypoints do not count (wire/ztunnel 5.4). */
function waypointOf(mesh: MeshView, address: NetworkAddress): Service['waypoint'] {
  const target = mesh.workloadByAddress(address) ?? mesh.serviceByAddress(address, undefined)
  return target?.waypoint
}

/** The workload's own port, and the service if the client named one; or the refusal (wire/ztunnel 5.5). */
function resolvePort(
  mesh: MeshView,
  { workload }: ResolveInboundInput,
  asked: Asked,
  steps: RouteStep[],
): { readonly port: number; readonly service: Service | undefined } | string {
  if (asked.kind === 'address') {
    steps.push({ step: 'inbound-upstream', detail: `port ${asked.target.port} as asked` })
    return { port: asked.target.port, service: undefined }
  }
  const { hostname, port } = asked
  const service = mesh.serviceByHostname(hostname, workload.namespace)
  if (service === undefined) return `no service or workload for hostname: ${hostname}`
  const own = workload.services.get(serviceKey(service))?.find(({ servicePort }) => servicePort === port)
  const general = service.ports.find(({ servicePort }) => servicePort === port)
  const target = own?.targetPort || general?.targetPort || 0
  if (target === 0) return `requested service ${hostname}:${port} found, but cannot resolve port`
  steps.push({ step: 'inbound-upstream', detail: `port ${port} of ${serviceKey(service)} is port ${target}` })
  return { port: target, service }
}

function accept(
  { workload, connectionDestination, network }: ResolveInboundInput,
  asked: Asked,
  resolved: { port: number; service: Service | undefined; named: Service | undefined },
  steps: RouteStep[],
): InboundRoute {
  const application = workload.applicationTunnel
  // The workload, whatever address the client named (wire/ztunnel 5.5).
  const upstream = { address: connectionDestination.address, port: application?.port ?? resolved.port }
  const labels = resolved.service === undefined ? {} : { service: resolved.service }
  if (application?.protocol !== 'PROXY') return { kind: 'accepted', upstream, ...labels, steps }
  const target = tunnelTarget(asked, resolved.named, network)
  if (target === undefined) {
    const hostname = resolved.named?.hostname ?? ''
    const message = `requested service ${hostname} found, but has no IP addresses`
    return { kind: 'refused', status: 503, message, steps }
  }
  steps.push({
    step: 'application-tunnel',
    detail: `PROXY protocol to ${formatSocketAddress(upstream)} for ${formatSocketAddress(target)}`,
  })
  return { kind: 'accepted', upstream, tunnel: { protocol: 'PROXY', target }, ...labels, steps }
}

/** What the application is told was asked for: a hostname becomes a virtual address, of our network and IPv4 if it can be (wire/ztunnel 5.5). */
function tunnelTarget(asked: Asked, named: Service | undefined, network: string): SocketAddress | undefined {
  if (asked.kind === 'address') return asked.target
  let best: NetworkAddress | undefined
  let bestRank = -1
  for (const candidate of named?.addresses ?? []) {
    const rank = (candidate.network === network ? 2 : 0) + (addressFamily(candidate.address) === 4 ? 1 : 0)
    // Of equals the last, as Istio does.
    if (rank >= bestRank) {
      best = candidate
      bestRank = rank
    }
  }
  return best === undefined ? undefined : { address: best.address, port: asked.port }
}
