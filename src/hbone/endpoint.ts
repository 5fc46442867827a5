import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** One end of a TCP connection. */
export interface Endpoint {
  /** IPv4 or IPv6; an IPv4 client of a dual-stack listener is shown as IPv4. */
  readonly address: string
  readonly port: number
}

/** Both ends of a connection that we accepted. */
export interface ConnectionEnds {
  readonly peer: Endpoint
  readonly local: Endpoint
}

/** The ends of a connected socket; undefined when it is gone already, or is no socket but a stream of a tunnel. */
export function connectionEnds(socket: Duplex): ConnectionEnds | undefined {
  if (!(socket instanceof Socket)) return undefined
  const peer = endpoint(socket.remoteAddress, socket.remotePort)
  const local = endpoint(socket.localAddress, socket.localPort)
  return peer === undefined || local === undefined ? undefined : { peer, local }
}

function endpoint(address: string | undefined, port: number | undefined): Endpoint | undefined {
  if (address === undefined || port === undefined) return undefined
  return { address: address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address, port }
}

/** IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2): how a dual-stack socket shows IPv4. */
const MAPPED = '::ffff:'
