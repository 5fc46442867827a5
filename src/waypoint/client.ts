import {
  type Baggage,
  decodeBaggage,
  type HboneRequest,
  NO_CLIENT_IDENTITY,
  parseAuthority,
} from '../hbone/index.ts'
import { parseSpiffeId } from '../identity/spiffe-id.ts'
import {
  canonicalAddress,
  formatSocketAddress,
  type Identity,
  isServedPeer,
  type MeshView,
  type SocketAddress,
  type WaypointTarget,
  type Workload,
} from '../mesh/index.ts'

/** Who a connection is from, as far as a waypoint may believe it. */
export interface Client {
  /** Proven by mutual TLS, to us or to the ztunnel that sent it up; undefined for a client that proved nothing. */
  readonly identity: Identity | undefined
  readonly source: SocketAddress
  /** Undefined for what is not of the mesh, or of another network. */
  readonly workload: Workload | undefined
  /** What a client says of itself that the mesh does not know. */
  readonly baggage: Baggage | undefined
  /** Set when the ztunnel of the asked workload sent the connection up: its `ip:port`. */
  readonly sentUpBy: string | undefined
}

/** What tells clients apart. */
export interface ClientContext {
  readonly mesh: MeshView
  /** The waypoint's own workload. */
  readonly waypoint: Workload
  /** The NETWORK setting. */
  readonly network: string
}

/**
 * The client of a CONNECT. It is the peer, unless the peer is the ztunnel of
 * the very workload that is asked for: that one sends up what reached its pod
 * past the waypoint, in the workload's name, and says whose it is
 * (docs/waypoint-enforcement.md). The same headers from anybody else say
 * nothing. Undefined when such a peer's headers are no good: then nobody knows
 * who asks.
 */
export function clientOf(
  { mesh, waypoint, network }: ClientContext,
  request: HboneRequest,
  target: WaypointTarget,
): Client | undefined {
  const { peer, headers } = request
  const here = headers.xForwardedNetwork === undefined || isSame(headers.xForwardedNetwork, network)
  const known = (source: SocketAddress): Pick<Client, 'source' | 'workload' | 'baggage'> => {
    const workload = here ? mesh.workloadByAddress({ network, address: source.address }) : undefined
    return { source, workload, baggage: workload === undefined ? decodeBaggage(headers.baggage) : undefined }
  }
  if (!isSentUp(mesh, waypoint, request, target, network)) {
    return {
      ...known({ address: peer.address, port: peer.port }),
      identity: peer.identity,
      sentUpBy: undefined,
    }
  }
  const identity = forwardedIdentity(headers.clientIdentity)
  const source = forwardedFor(headers.forwarded)
  if (identity === 'malformed' || source === undefined) return undefined
  return { ...known(source), identity, sentUpBy: formatSocketAddress(peer) }
}

/** It proved to be the workload that it asks for, from that workload's address. */
function isSentUp(
  mesh: MeshView,
  waypoint: Workload,
  { peer, headers }: HboneRequest,
  target: WaypointTarget,
  network: string,
): boolean {
  if (headers.clientIdentity === undefined || target.kind !== 'workload') return false
  const { address, identity } = peer
  if (mesh.workloadByAddress({ network, address })?.uid !== target.workload.uid) return false
  return isServedPeer(mesh, waypoint, { address, identity }, network)
}

function forwardedIdentity(header: string | undefined): Identity | undefined | 'malformed' {
  if (header === undefined || header === NO_CLIENT_IDENTITY) return undefined
  return parseSpiffeId(header) ?? 'malformed'
}

/** The `for` of a `Forwarded` header with an address and a port (RFC 7239). */
function forwardedFor(header: string | undefined): SocketAddress | undefined {
  const quoted = header === undefined ? undefined : /(?:^|;)\s*for="([^"]*)"/.exec(header)?.[1]
  const parsed = parseAuthority(quoted)
  if (parsed === undefined) return undefined
  return { address: canonicalAddress(parsed.host), port: parsed.port }
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
