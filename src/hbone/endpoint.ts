import type { Socket } from 'node:net'

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

/** The ends of an accepted socket; undefined when it is gone already. */
export function connectionEnds(socket: Socket): ConnectionEnds | undefined {
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
