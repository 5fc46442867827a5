import type { Socket } from 'node:net'
import { formatHostPort, formatSocketAddress, isAddress, type SocketAddress } from '../../mesh/index.ts'
import type { ConnectionTelemetry } from '../../telemetry/index.ts'
import { errorText, ProxyError } from '../errors.ts'
import type { CapturedSocket } from '../proxy/capture-listener.ts'
import type { ConnectionHandler, ConnectionReply } from '../proxy/handler.ts'
import type { LocalWorkload } from '../proxy/local-workload.ts'
import { Socks5Error } from './errors.ts'
import { encodeReply, REPLY, type Socks5Request } from './handshake.ts'
import { negotiate } from './negotiate.ts'

export interface Socks5Dependencies {
  readonly local: LocalWorkload
  readonly telemetry: ConnectionTelemetry
  /** The DNS proxy's; undefined without one, and then names cannot be asked for. */
  readonly lookup: ((name: string) => Promise<readonly string[]>) | undefined
  /** What follows is that of a captured connection (15001). */
  readonly outbound: ConnectionHandler<CapturedSocket>
}

/** Handles what a workload opens by SOCKS5 (15080): asks for the destination, then does as with a captured connection. */
export function socks5Handler(deps: Socks5Dependencies): ConnectionHandler<CapturedSocket> {
  return async (accepted) => {
    const { socket } = accepted
    let destination: SocketAddress
    try {
      destination = await findDestination(deps, accepted)
    } catch (error) {
      return { kind: 'failed', flag: 'CONNECT', error: errorText(error) }
    }
    return deps.outbound({ socket, source: sourceOf(deps, accepted), destination, reply: replyTo(socket) })
  }
}

async function findDestination(
  deps: Socks5Dependencies,
  { socket, source, destination }: CapturedSocket,
): Promise<SocketAddress> {
  let request: Socks5Request | undefined
  try {
    request = await negotiate(socket)
    const address = isAddress(request.host) ? request.host : await lookup(deps, request.host)
    if (socket.destroyed) throw new Socks5Error('gone', 'socks: the client left while its name was looked up')
    return { address, port: request.port }
  } catch (error) {
    if (request !== undefined) refuse(socket, REPLY.hostUnreachable)
    deps.telemetry.rejectedEarly({
      sourceAddress: formatSocketAddress(source),
      destinationAddress:
        request === undefined ? formatSocketAddress(destination) : formatHostPort(request.host, request.port),
      direction: 'outbound',
      error: errorText(error),
    })
    throw error
  }
}

async function lookup({ lookup }: Socks5Dependencies, name: string): Promise<string> {
  if (lookup === undefined) {
    throw new Socks5Error(
      'lookup',
      `dns lookup: ${name}: names need the DNS proxy; set ISTIO_META_DNS_CAPTURE=true`,
    )
  }
  const [address] = await lookup(name)
  if (address === undefined) throw new Socks5Error('lookup', `dns lookup: ${name} has no address`)
  return address
}

/** The client is the workload, whatever loopback address it called from: that is what a waypoint should be told. */
function sourceOf({ local }: Socks5Dependencies, { source }: CapturedSocket): SocketAddress {
  const addresses = local.peek()?.addresses ?? []
  const own = addresses.find((address) => !address.includes(':')) ?? addresses[0]
  return own === undefined ? source : { address: own, port: source.port }
}

/** Success is told when there is a connection, and not before, so that failure can be told too. */
function replyTo(socket: Socket): ConnectionReply {
  let connected = false
  return {
    connected: () => {
      connected = true
      socket.write(encodeReply(REPLY.succeeded))
    },
    failed: (error) => {
      if (connected) socket.destroy()
      else refuse(socket, replyCode(error))
    },
  }
}

function refuse(socket: Socket, code: number): void {
  if (socket.destroyed) return
  socket.end(encodeReply(code), () => socket.destroy())
}

/** As far as RFC 1928 has a word for it. */
function replyCode(error: unknown): number {
  if (error instanceof ProxyError && error.code === 'policy-denied') return REPLY.notAllowed
  if (error instanceof ProxyError && error.code === 'connect-timeout') return REPLY.hostUnreachable
  return ERRNO_REPLIES[errnoOf(error) ?? ''] ?? REPLY.failure
}

const ERRNO_REPLIES: Readonly<Record<string, number>> = {
  ECONNREFUSED: REPLY.refused,
  ENETUNREACH: REPLY.networkUnreachable,
  EHOSTUNREACH: REPLY.hostUnreachable,
  ETIMEDOUT: REPLY.hostUnreachable,
}

function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { cause } = error
  const code: unknown = cause instanceof Error ? Reflect.get(cause, 'code') : Reflect.get(error, 'code')
  return typeof code === 'string' ? code : undefined
}
