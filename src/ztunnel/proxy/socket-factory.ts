import { Socket } from 'node:net'
import {
  bindUdp,
  LinuxError,
  type ListeningTcpGroup,
  type ListenTcpOptions,
  listenTcpGroup,
  type NetworkNamespace,
  openTcpSocket,
} from '../../linux/index.ts'
import type { SocketAddress } from '../../mesh/index.ts'
import { applyTcpLiveness, type TcpLiveness } from './tcp-liveness.ts'

/** A bound, listening socket, ready for `net.Server.listen({ fd })`. */
export interface ListeningSocket {
  readonly fd: number
  /** Whether IP_TRANSPARENT could be set, so that dialled sockets may carry a foreign source address. */
  readonly transparent: boolean
}

export interface ListenRequest {
  /** `::` is every address of both families; of IPv4 alone where the kernel has no IPv6. */
  readonly address: string
  readonly port: number
  readonly transparent: 'required' | 'auto' | 'never'
}

export interface BindUdpRequest {
  readonly address: string
  /** 0: any. */
  readonly port: number
  /** A port that is served, and that the next process may serve too. Default: a socket that only asks. */
  readonly shared?: boolean
}

/**
 * Where the sockets of one workload come from: its network namespace, its
 * packet mark. The data path opens no socket by any other way.
 */
export interface SocketFactory {
  listen(request: ListenRequest): ListeningSocket
  /** Starts to connect. `source` asks for a spoofed source address (IP_TRANSPARENT). */
  connect(destination: SocketAddress, source?: string): Socket
  /** A bound UDP socket, ready for `dgram.Socket.bind({ fd })`. */
  bindUdp(request: BindUdpRequest): number
}

export interface SocketFactoryOptions {
  /** Undefined: the namespace that the process runs in. */
  readonly namespace: NetworkNamespace | undefined
  /** SO_MARK of every socket; undefined or 0 sets none. Redirection rules skip marked packets. */
  readonly mark: number | undefined
  readonly reusePort: boolean
  /** Of sockets that are dialled; default the kernel's. */
  readonly liveness?: TcpLiveness
}

/** The factory for a pod's namespace, or for the process's own. */
export function createSocketFactory(options: SocketFactoryOptions): SocketFactory {
  const inNamespace = <T>(open: () => T): T =>
    options.namespace === undefined ? open() : options.namespace.run(open)
  const mark = markOf(options)
  return {
    listen(request) {
      const { fds, transparent } = openListeners(options, request, 1)
      return { fd: fds[0], transparent }
    },
    connect(destination, source) {
      const family = destination.address.includes(':') ? 6 : 4
      const spoof = source === undefined ? {} : { transparentSource: source }
      const fd = inNamespace(() => openTcpSocket({ family, ...mark, ...spoof }))
      if (options.liveness !== undefined) applyTcpLiveness(fd, options.liveness)
      const socket = new Socket({ fd, readable: true, writable: true, ...DIALLED })
      return socket.connect({ host: destination.address, port: destination.port })
    },
    bindUdp: ({ address, port, shared = false }) =>
      inNamespace(() => bindUdp({ address, port, ...mark, reusePort: shared && options.reusePort })),
  }
}

/**
 * Opens `count` listeners on one port, for as many threads; one for all of them where the port cannot be shared.
 * They are to be closed by whoever calls. Throws what `listen` throws.
 */
export function openListeners(
  options: Omit<SocketFactoryOptions, 'liveness'>,
  request: ListenRequest,
  count: number,
): ListeningTcpGroup {
  const { namespace, reusePort } = options
  const open = (): ListeningTcpGroup =>
    listenAny({ ...request, ...markOf(options), reusePort, count, backlog: BACKLOG })
  return namespace === undefined ? open() : namespace.run(open)
}

function markOf({ mark }: Pick<SocketFactoryOptions, 'mark'>): { readonly mark?: number } {
  return mark === undefined || mark === 0 ? {} : { mark }
}

/**
 * Tried rather than asked for: whether a namespace has IPv6 is told by half a dozen switches, and what counts is
 * whether the kernel gives us the socket.
 */
function listenAny(options: ListenTcpOptions): ListeningTcpGroup {
  try {
    return listenTcpGroup(options)
  } catch (error) {
    const absent = error instanceof LinuxError && ABSENT_FAMILY.has(error.errno ?? '')
    if (options.address !== '::' || !absent) throw error
    return listenTcpGroup({ ...options, address: '0.0.0.0' })
  }
}

/** No such family in the kernel; a family that is switched off. */
const ABSENT_FAMILY: ReadonlySet<string> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL'])

/** Waiting connections per listener: as many as the kernel allows by default (net.core.somaxconn). */
const BACKLOG = 4096

const DIALLED: object = {
  allowHalfOpen: true,
  // Set once, after the connect.
  noDelay: true,
  // Reading must not begin before the connect: an unconnected socket answers ENOTCONN.
  manualStart: true,
}
