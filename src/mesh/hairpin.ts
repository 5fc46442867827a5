import { sameIdentity, workloadIdentity } from './identity.ts'
import type { LoadBalanceListener } from './load-balancer.ts'
import type { MeshView } from './mesh-view.ts'
import type { GatewayAddress, Identity, Workload } from './model.ts'
import { formatGateway, serviceKey } from './names.ts'
import type { Route, RouteStep, SocketAddress } from './route.ts'
import { waypointRoute } from './routes.ts'
import { findGateway, gatewayUpstream, isGatewayInstance } from './upstream.ts'

/** Who reached a workload. */
export interface HairpinClient {
  /** Of its side of the TCP connection. */
  readonly address: string
  /** Proven by mutual TLS; undefined for plaintext. */
  readonly identity: Identity | undefined
  /** Its request says that it is from another network: `address` is a gateway's. */
  readonly otherNetwork: boolean
  /** Its request says that a ztunnel has sent it to a waypoint before. */
  readonly hairpinned: boolean
}

export interface ResolveHairpinInput {
  /** The captured workload that was reached. */
  readonly workload: Workload
  /** What the client wants of it: its own address and port. */
  readonly destination: SocketAddress
  readonly client: HairpinClient
  /** The NETWORK setting. */
  readonly network: string
  /** The WAYPOINT_ENFORCEMENT setting. */
  readonly enforcement: 'hairpin' | 'off'
  /** 0 ≤ x < 1. */
  readonly random: () => number
  readonly onLoadBalance?: LoadBalanceListener | undefined
}

/** Where a connection that reached a workload, and that policy lets through, goes on. */
export type Hairpin =
  /** To the application. */
  | { readonly kind: 'direct'; readonly steps: readonly RouteStep[] }
  /** To the workload's waypoint, in the workload's name. */
  | {
      readonly kind: 'waypoint'
      readonly route: Extract<Route, { kind: 'hbone' }>
      readonly steps: readonly RouteStep[]
    }
  /** Nowhere: it must go through the waypoint, and cannot. */
  | { readonly kind: 'refused'; readonly message: string; readonly steps: readonly RouteStep[] }

/**
 * Decides whether a connection that reached a workload must first go through
 * the workload's waypoint. It must unless it comes from there: then its peer
 * has the waypoint's identity and one of its addresses. Of Istio's ztunnel only
 * the client's side knows workload waypoints (wire/ztunnel 6.4), so a sidecar
 * or a client without a mesh passes them by; here none does. A waypoint of a
 * service binds nobody who addresses the workload.
 *
 * No connection can go round: what comes from the waypoint, or only seems to,
 * is never sent there; what a workload sends up to its waypoint is at its goal;
 * and what says that it was sent up before is not sent up again.
 *
 * Pure. The step is `waypoint-enforcement`.
 */
export function resolveHairpin(mesh: MeshView, input: ResolveHairpinInput): Hairpin {
  const { workload, enforcement } = input
  const gateway = workload.waypoint
  if (gateway === undefined) return { kind: 'direct', steps: [] }
  const waypoint = formatGateway(gateway)
  if (enforcement === 'off') return direct(`${workload.uid} has the waypoint ${waypoint}, not enforced`)
  if (isGatewayInstance(mesh, gateway, workload)) return direct(`${workload.uid} is its own waypoint`)
  return arrival(mesh, input, gateway) ?? towards(mesh, input, gateway)
}

/**
 * Whether a peer speaks for a workload that `waypoint` serves: it has the
 * workload's address and has proved its identity. From such a peer, and from
 * nobody else, a waypoint may believe what a hairpin's headers say of the client.
 */
export function isServedPeer(
  mesh: MeshView,
  waypoint: Workload,
  peer: Pick<HairpinClient, 'address' | 'identity'>,
  network: string,
): boolean {
  const workload = mesh.workloadByAddress({ network, address: peer.address })
  if (workload?.waypoint === undefined || !proves(peer.identity, workload)) return false
  return isGatewayInstance(mesh, workload.waypoint, waypoint)
}

/** What is at its goal, and what must not be sent on; undefined for all else. */
function arrival(mesh: MeshView, input: ResolveHairpinInput, gateway: GatewayAddress): Hairpin | undefined {
  const { workload, client, network } = input
  const waypoint = formatGateway(gateway)
  if (!client.otherNetwork) {
    const peer = mesh.workloadByAddress({ network, address: client.address })
    const atWaypoint = peer !== undefined && isGatewayInstance(mesh, gateway, peer)
    if (atWaypoint && proves(client.identity, peer)) {
      return direct(`${peer.uid} is the waypoint ${waypoint} of ${workload.uid}`)
    }
    if (atWaypoint) {
      return refused(
        `loop: ${client.address} is the address of waypoint ${waypoint}, but the peer did not prove its identity; ` +
          'a waypoint must reach its workloads by HBONE and as itself',
      )
    }
    if (instances(mesh, gateway).some((instance) => proves(client.identity, instance))) {
      return refused(
        `loop: the peer proved the identity of waypoint ${waypoint}, but ${client.address} is none of its addresses; ` +
          'is its traffic translated (SNAT) on the way, or is it so new that the control plane does not know it yet?',
      )
    }
    if (isServedPeer(mesh, workload, client, network)) {
      return direct(`${workload.uid} is the waypoint of ${client.address}, which sends its clients here`)
    }
  }
  return client.hairpinned
    ? refused(
        `loop: the request was sent to a waypoint before, and ${workload.uid} has the waypoint ${waypoint} itself`,
      )
    : undefined
}

function towards(mesh: MeshView, input: ResolveHairpinInput, gateway: GatewayAddress): Hairpin {
  const { workload, destination, random, onLoadBalance } = input
  const query = {
    source: workload,
    requested: destination.address,
    resolution: 'waypoint',
    random,
    onLoadBalance,
  } as const
  const found = gatewayUpstream(mesh, gateway, query)
  const waypoint = formatGateway(gateway)
  if (found.kind !== 'found') {
    return refused(`unknown waypoint: waypoint ${waypoint} not found: ${found.reason}`)
  }
  const { upstream, reason } = found
  if (upstream.workload.network !== workload.network) {
    return refused(
      `no valid routing destination for workload: ${upstream.workload.uid}: waypoint ${waypoint} is in network "${upstream.workload.network}"`,
    )
  }
  const why = `not from the waypoint ${waypoint} of ${workload.uid}; ${upstream.workload.uid}: ${reason}`
  const steps = [{ step: STEP, detail: why }]
  const route = waypointRoute(steps, upstream, undefined, destination)
  return route.kind === 'hbone'
    ? { kind: 'waypoint', route, steps }
    : refused(route.kind === 'refused' ? route.message : `waypoint ${waypoint} cannot be reached by HBONE`)
}

/** Those that can be chosen; a waypoint's instances share an identity, so one is enough. */
function instances(mesh: MeshView, gateway: GatewayAddress): readonly Workload[] {
  const target = findGateway(mesh, gateway, undefined)
  if (target === undefined) return []
  if (target.kind === 'workload') return [target.workload]
  return mesh.endpoints(serviceKey(target.service)).map(({ workload }) => workload)
}

function proves(identity: Identity | undefined, workload: Workload): boolean {
  return identity !== undefined && sameIdentity(identity, workloadIdentity(workload))
}

const STEP = 'waypoint-enforcement'

function direct(detail: string): Hairpin {
  return { kind: 'direct', steps: [{ step: STEP, detail }] }
}

function refused(message: string): Hairpin {
  return { kind: 'refused', message, steps: [{ step: STEP, detail: message }] }
}
