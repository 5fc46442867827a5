import { chooseAddress, type DialAddress } from './destination-address.ts'
import { chooseEndpoint, type LoadBalanceListener, type PortResolution } from './load-balancer.ts'
import type { MeshView } from './mesh-view.ts'
import type { GatewayAddress, NetworkAddress, Service, Workload } from './model.ts'
import { serviceKey } from './names.ts'

/** A workload chosen to take a connection. */
export interface Upstream {
  readonly workload: Workload
  /** The workload's own port. */
  readonly port: number
  readonly dial: DialAddress
  /** The service that led to it; undefined when it was addressed itself. */
  readonly service: Service | undefined
}

/** `unknown`: there is no such service or workload. `unusable`: there is, and it has nothing to offer. */
export type UpstreamResult =
  | { readonly kind: 'found'; readonly upstream: Upstream; readonly reason: string }
  | { readonly kind: 'unusable' | 'unknown'; readonly reason: string }

/** Who asks, and how to choose for it. */
export interface UpstreamQuery {
  readonly source: Workload
  readonly port: number
  /** The address that the client dialled: its family is preferred, and it is dialled itself if the workload owns it. */
  readonly requested: string
  readonly resolution: PortResolution
  readonly random: () => number
  readonly onLoadBalance?: LoadBalanceListener | undefined
}

/** What a gateway address stands for. */
export type GatewayTarget =
  | { readonly kind: 'service'; readonly service: Service }
  | { readonly kind: 'workload'; readonly workload: Workload }

/** The upstream behind an address: a service's first, then a workload's own (wire/ztunnel 3.7). */
export function findUpstream(mesh: MeshView, address: NetworkAddress, query: UpstreamQuery): UpstreamResult {
  const service = mesh.serviceByAddress(address, query.source.namespace)
  if (service !== undefined) {
    // Passthrough delivers to the address that was dialled, so no endpoint is chosen.
    return service.loadBalancing.mode === 'PASSTHROUGH'
      ? { kind: 'unusable', reason: `${serviceKey(service)} is in mode PASSTHROUGH` }
      : serviceUpstream(mesh, service, query)
  }
  const workload = mesh.workloadByAddress(address)
  return workload === undefined
    ? {
        kind: 'unknown',
        reason: `nothing in network "${address.network}" has the address ${address.address}`,
      }
    : workloadUpstream(workload, query)
}

/**
 * The service or workload that a waypoint or network gateway address names: a
 * service first in either form (wire/ztunnel 3.6).
 */
export function findGateway(
  mesh: MeshView,
  gateway: GatewayAddress,
  clientNamespace: string | undefined,
): GatewayTarget | undefined {
  const service =
    gateway.kind === 'hostname'
      ? mesh.service(serviceKey(gateway))
      : mesh.serviceByAddress(gateway, clientNamespace)
  if (service !== undefined) return { kind: 'service', service }
  const workload =
    gateway.kind === 'hostname'
      ? mesh.workloadByHostname(gateway.namespace, gateway.hostname)
      : mesh.workloadByAddress(gateway)
  return workload === undefined ? undefined : { kind: 'workload', workload }
}

/** An instance of a waypoint or network gateway to dial (wire/ztunnel 3.6, 3.9). */
export function gatewayUpstream(
  mesh: MeshView,
  gateway: GatewayAddress,
  query: Omit<UpstreamQuery, 'port'>,
): UpstreamResult {
  const target = findGateway(mesh, gateway, query.source.namespace)
  // An address fixes the IP family; a hostname leaves the client's.
  const requested = gateway.kind === 'address' ? gateway.address : query.requested
  const full = { ...query, requested, port: gateway.hboneMtlsPort }
  switch (target?.kind) {
    case undefined:
      return { kind: 'unknown', reason: `no service or workload has the address ${gatewayName(gateway)}` }
    case 'service':
      return serviceUpstream(mesh, target.service, full)
    case 'workload':
      return workloadUpstream(target.workload, full)
  }
}

/** Whether a workload is an instance of the waypoint or gateway that an address names. */
export function isGatewayInstance(mesh: MeshView, gateway: GatewayAddress, workload: Workload): boolean {
  const target = findGateway(mesh, gateway, undefined)
  switch (target?.kind) {
    case undefined:
      return false
    case 'service':
      // Asked of the workload, not of the endpoints: one that turns unhealthy is still an instance.
      return workload.services.has(serviceKey(target.service))
    case 'workload':
      return target.workload.uid === workload.uid
  }
}

function serviceUpstream(mesh: MeshView, service: Service, query: UpstreamQuery): UpstreamResult {
  const endpoints = mesh.endpoints(serviceKey(service))
  const input = { ...query, service, endpoints }
  const choice = chooseEndpoint(input)
  query.onLoadBalance?.(input, choice)
  if (choice.kind === 'none') return { kind: 'unusable', reason: choice.reason }
  const { workload, port, reason } = choice
  const dial = chooseAddress(workload, service, query.requested)
  return { kind: 'found', upstream: { workload, port, dial, service }, reason }
}

function workloadUpstream(workload: Workload, { port, requested }: UpstreamQuery): UpstreamResult {
  const dial = chooseAddress(workload, undefined, requested)
  return { kind: 'found', upstream: { workload, port, dial, service: undefined }, reason: 'addressed itself' }
}

function gatewayName(gateway: GatewayAddress): string {
  return gateway.kind === 'hostname'
    ? `${gateway.namespace}/${gateway.hostname}`
    : `${gateway.address} in network "${gateway.network}"`
}
