import { canonicalAddress, formatSocketAddress, isAddress } from './addresses.ts'
import { guessService } from './inbound.ts'
import type { MeshView } from './mesh-view.ts'
import type { AppProtocol, GatewayAddress, Service, Workload } from './model.ts'
import { serviceKey } from './names.ts'
import type { RouteStep } from './route.ts'
import { isGatewayInstance } from './upstream.ts'

export interface ResolveWaypointTargetInput {
  /** The waypoint's own workload. */
  readonly waypoint: Workload
  /** `:authority` of the CONNECT; the host is an address or a hostname. */
  readonly authority: { readonly host: string; readonly port: number }
  /** The NETWORK setting. */
  readonly network: string
}

/** What a CONNECT that reached a waypoint asks for. */
export type WaypointTarget =
  | {
      readonly kind: 'service'
      readonly service: Service
      /** Of the service, not of its endpoints. */
      readonly port: number
      readonly appProtocol: AppProtocol
      readonly steps: readonly RouteStep[]
    }
  | {
      readonly kind: 'workload'
      readonly workload: Workload
      /** The workload's own address, as asked for. */
      readonly address: string
      readonly port: number
      readonly appProtocol: AppProtocol
      /** That leads to this port of the workload: for labels only. */
      readonly service: Service | undefined
      readonly steps: readonly RouteStep[]
    }
  | {
      readonly kind: 'refused'
      /** HTTP status of the answer, as Istio's ztunnel has it (wire/ztunnel 5.3). */
      readonly status: 400 | 503
      readonly message: string
      readonly steps: readonly RouteStep[]
    }

/**
 * Decides what a tunnel to a waypoint is for: a Service or a Pod that has this
 * waypoint, and nothing else (wire/istio 3.5). Pure. The step is
 * `waypoint-target`.
 */
export function resolveWaypointTarget(mesh: MeshView, input: ResolveWaypointTargetInput): WaypointTarget {
  const { authority, network } = input
  const bare = authority.host.startsWith('[') ? authority.host.slice(1, -1) : authority.host
  if (!isAddress(bare)) return byHostname(mesh, input)
  const address = canonicalAddress(bare)
  const workload = mesh.workloadByAddress({ network, address })
  if (workload !== undefined) return toWorkload(mesh, input, workload, address)
  const service = mesh.serviceByAddress({ network, address }, undefined)
  if (service !== undefined) return toService(mesh, input, service)
  return refused(400, `${address} in network "${network}" is neither a workload nor a service`)
}

/** Whether a service goes through the waypoint that `waypoint` is an instance of; a canary's share counts. */
export function servesService(mesh: MeshView, waypoint: Workload, service: Service): boolean {
  const gateways = [service.waypoint, ...service.weightedWaypoints.map(({ destination }) => destination)]
  return gateways.some((gateway) => isInstance(mesh, gateway, waypoint))
}

/** Several services may have one name; those of others are none of our business. */
function byHostname(mesh: MeshView, input: ResolveWaypointTargetInput): WaypointTarget {
  const { host } = input.authority
  const named = mesh.servicesByHostname(host)
  const service = named.find((candidate) => servesService(mesh, input.waypoint, candidate)) ?? named[0]
  if (service === undefined) return refused(400, `no service has the hostname ${host}`)
  return toService(mesh, input, service)
}

function toService(
  mesh: MeshView,
  { waypoint, authority }: ResolveWaypointTargetInput,
  service: Service,
): WaypointTarget {
  const name = serviceKey(service)
  if (!servesService(mesh, waypoint, service))
    return refused(400, `service ${name} has another waypoint or none`)
  const { port } = authority
  const found = service.ports.find(({ servicePort }) => servicePort === port)
  if (found === undefined) return refused(503, `service ${name} has no port ${port}`)
  const steps = [step(`service ${name} port ${port}, appProtocol ${found.appProtocol}`)]
  return { kind: 'service', service, port, appProtocol: found.appProtocol, steps }
}

function toWorkload(
  mesh: MeshView,
  { waypoint, authority: { port } }: ResolveWaypointTargetInput,
  workload: Workload,
  address: string,
): WaypointTarget {
  if (!isInstance(mesh, workload.waypoint, waypoint)) {
    return refused(400, `workload ${workload.uid} (${address}) has another waypoint or none`)
  }
  const service = guessService(mesh, workload, port)
  const appProtocol = service === undefined ? 'UNKNOWN' : protocolOf(workload, service, port)
  const where = formatSocketAddress({ address, port })
  const steps = [step(`workload ${workload.uid} at ${where}, appProtocol ${appProtocol}`)]
  return { kind: 'workload', workload, address, port, appProtocol, service, steps }
}

/** Of the service's port that leads to this one of the workload. */
function protocolOf(workload: Workload, service: Service, port: number): AppProtocol {
  const own = workload.services.get(serviceKey(service)) ?? []
  const mapped = own.find(({ targetPort }) => targetPort === port)?.servicePort
  const found = service.ports.find(({ servicePort, targetPort }) =>
    mapped === undefined ? targetPort === port : servicePort === mapped,
  )
  return found?.appProtocol ?? 'UNKNOWN'
}

function isInstance(mesh: MeshView, gateway: GatewayAddress | undefined, waypoint: Workload): boolean {
  return gateway !== undefined && isGatewayInstance(mesh, gateway, waypoint)
}

function refused(status: 400 | 503, why: string): WaypointTarget {
  return { kind: 'refused', status, message: `not served by this waypoint: ${why}`, steps: [step(why)] }
}

function step(detail: string): RouteStep {
  return { step: 'waypoint-target', detail }
}
