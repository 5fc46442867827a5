import type { Socket } from 'node:net'
import {
  AF_INET,
  AF_INET6,
  IP_BIND_ADDRESS_NO_PORT,
  IP_TRANSPARENT,
  IP6T_SO_ORIGINAL_DST,
  IPV6_TRANSPARENT,
  IPV6_V6ONLY,
  SO_KEEPALIVE,
  SO_MARK,
  SO_ORIGINAL_DST,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
  SOL_TCP,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_NODELAY,
  TCP_USER_TIMEOUT,
} from './constants.ts'
import { systemCallError } from './errors.ts'
import { check, closeQuietly, lastErrno, libc, requireIntOption, setIntOption } from './libc.ts'
import { countListeners, preferNewestListeners } from './reuse-port.ts'
import { addressFamily, decodeInetAddress, type Endpoint, encodeInetAddress } from './sockaddr.ts'

/** How to listen; see {@link listenTcp}. */
export interface ListenTcpOptions {
  /** IP address; `::` takes IPv4 too. */
  readonly address: string
  /** 0 lets the kernel choose. */
  readonly port: number
  /** `SO_MARK`, inherited by accepted sockets: what keeps the proxy's own packets out of the redirection rules. */
  readonly mark?: number
  /** Whether accepted sockets may speak from foreign addresses: must, if the kernel lets us (default `never`). */
  readonly transparent?: 'required' | 'auto' | 'never'
  /** `SO_REUSEPORT`, for hand-over to a new process, which gets all new connections; else `SO_REUSEADDR`. Default false. */
  readonly reusePort?: boolean
  /** Sockets to open, for one thread each; more than one only with `reusePort` and a port of its own. Default 1. */
  readonly count?: number
  /** Pending connections; default 1024 (the kernel caps it at `net.core.somaxconn`). */
  readonly backlog?: number
}

/** A socket that listens, ready for `net.Server.listen({ fd })`, which takes it over. */
export interface ListeningTcpSocket {
  readonly fd: number
  /** Whether `IP_TRANSPARENT` could be set. */
  readonly transparent: boolean
}

/** Sockets that listen on one port, at least one. */
export interface ListeningTcpGroup {
  readonly fds: readonly [number, ...number[]]
  readonly transparent: boolean
}

/** How to make an unconnected socket; see {@link openTcpSocket}. */
export interface OpenTcpSocketOptions {
  readonly family: 4 | 6
  readonly mark?: number
  /** Source IP address to speak from, own or foreign; the port is chosen at connect time. */
  readonly transparentSource?: string
}

/** TCP keepalive, times in milliseconds (the kernel counts in whole seconds; at least one). */
export interface KeepAliveOptions {
  /** Idle time before the first probe. */
  readonly time: number
  /** Between probes. */
  readonly interval: number
  /** Unanswered probes after which the connection is dead. */
  readonly retries: number
}

/** Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`. */
const DEFAULT_BACKLOG = 1024
/** The kernel's `MAX_TCP_KEEPIDLE` and `MAX_TCP_KEEPINTVL`, in seconds. */
const MAX_KEEPALIVE_SECONDS = 32767
/** The kernel's `MAX_TCP_KEEPCNT`. */
const MAX_KEEPALIVE_PROBES = 127

/**
 * Opens a TCP listener in the thread's current network namespace, so call it inside `NetworkNamespace.run`. The
 * descriptor is non-blocking and close-on-exec. Throws LinuxError `system-call`, with nothing left open.
 */
export function listenTcp(options: Omit<ListenTcpOptions, 'count'>): ListeningTcpSocket {
  const { fds, transparent } = listenTcpGroup(options)
  return { fd: fds[0], transparent }
}

/** As {@link listenTcp}, with `count` sockets that share the port: new connections are spread over them. */
export function listenTcpGroup(options: ListenTcpOptions): ListeningTcpGroup {
  const { port, reusePort = false, count = 1 } = options
  const family = addressFamily(options.address)
  // Nothing can be known of a port that the kernel is to choose, except that it is nobody's.
  const older = reusePort && port !== 0 ? (countListeners(family, port) ?? 1) : 0
  const first = listenOne(options, family)
  const fds: [number, ...number[]] = [first.fd]
  try {
    while (reusePort && port !== 0 && fds.length < count) fds.push(listenOne(options, family).fd)
    if (reusePort) preferNewestListeners(first.fd, { older, own: fds.length })
    return { fds, transparent: first.transparent }
  } catch (error) {
    for (const fd of fds) closeQuietly(fd)
    throw error
  }
}

function listenOne(options: ListenTcpOptions, family: 4 | 6): ListeningTcpSocket {
  const where = `${options.address} port ${options.port}`
  const fd = newTcpSocket(family)
  return closeOnThrow(fd, () => {
    requireIntOption(fd, SOL_SOCKET, options.reusePort ? SO_REUSEPORT : SO_REUSEADDR, 1, `reuse of ${where}`)
    if (family === 6) requireIntOption(fd, SOL_IPV6, IPV6_V6ONLY, 0, `IPV6_V6ONLY of ${where}`)
    if (options.mark !== undefined)
      requireIntOption(fd, SOL_SOCKET, SO_MARK, options.mark, `SO_MARK of ${where}`)
    const transparent = setTransparent(fd, family, options.transparent ?? 'never')
    const address = encodeInetAddress(options)
    check(libc.bind(fd, address, address.length), 'bind', where)
    check(libc.listen(fd, options.backlog ?? DEFAULT_BACKLOG), 'listen', where)
    return { fd, transparent }
  })
}

/**
 * Makes an unconnected TCP socket in the thread's current network namespace, for `new net.Socket({ fd }).connect(…)`,
 * which owns the descriptor from its construction on. The connection is made in the socket's namespace, wherever the
 * thread is by then; give `connect` an IP address, a name would be looked up in the process's own.
 * Throws LinuxError `system-call` (with a foreign source: `EPERM` without CAP_NET_ADMIN or CAP_NET_RAW).
 */
export function openTcpSocket(options: OpenTcpSocketOptions): number {
  const { family, mark, transparentSource: source } = options
  const fd = newTcpSocket(family)
  return closeOnThrow(fd, () => {
    if (mark !== undefined) requireIntOption(fd, SOL_SOCKET, SO_MARK, mark, 'SO_MARK')
    if (source !== undefined) {
      // Lets it bind to foreign addresses, too: IP_FREEBIND would add nothing.
      setTransparent(fd, family, 'required')
      // The port is then chosen at connect, by the whole 4-tuple: else a busy client address runs out of ports.
      requireIntOption(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1, 'IP_BIND_ADDRESS_NO_PORT')
      const address = encodeInetAddress({ address: source, port: 0 })
      check(libc.bind(fd, address, address.length), 'bind', `source ${source}`)
    }
    return fd
  })
}

/**
 * Where a redirected connection wanted to go, from netfilter; undefined when the connection was not redirected (or
 * connection tracking knows nothing of it). IPv4-mapped addresses come back as IPv4.
 */
export function originalDestination(fd: number): Endpoint | undefined {
  return (
    readOriginalDestination(fd, SOL_IP, SO_ORIGINAL_DST, 16) ??
    readOriginalDestination(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST, 28)
  )
}

/** Turns TCP keepalive on. False when the kernel refused a part of it, which no caller has reason to fail for. */
export function setKeepAlive(fd: number, options: KeepAliveOptions): boolean {
  return (
    setIntOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
    setIntOption(fd, SOL_TCP, TCP_KEEPIDLE, wholeSeconds(options.time)) &&
    setIntOption(fd, SOL_TCP, TCP_KEEPINTVL, wholeSeconds(options.interval)) &&
    setIntOption(fd, SOL_TCP, TCP_KEEPCNT, clamp(options.retries, 1, MAX_KEEPALIVE_PROBES))
  )
}

/** How long sent data may stay unacknowledged before the connection is dead, in milliseconds. False if refused. */
export function setUserTimeout(fd: number, milliseconds: number): boolean {
  return setIntOption(fd, SOL_TCP, TCP_USER_TIMEOUT, clamp(milliseconds, 0, 0x7fffffff))
}

/** Sends what is written at once (`TCP_NODELAY`). False if refused. */
export function setNoDelay(fd: number): boolean {
  return setIntOption(fd, SOL_TCP, TCP_NODELAY, 1)
}

/** Sets `SO_MARK` on a socket that exists already. Throws LinuxError `system-call`. */
export function setMark(fd: number, mark: number): void {
  requireIntOption(fd, SOL_SOCKET, SO_MARK, mark, 'SO_MARK')
}

/**
 * The descriptor below a socket; undefined once it is closed. Node has no documented way to it, hence the guards: if
 * the shape ever changes, callers see undefined and fail with their own message.
 */
export function socketFd(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle')
  if (typeof handle !== 'object' || handle === null) return undefined
  const fd: unknown = Reflect.get(handle, 'fd')
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

function newTcpSocket(family: 4 | 6): number {
  const domain = family === 4 ? AF_INET : AF_INET6
  return check(
    libc.socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
    'socket',
    `TCP over IPv${family}`,
  )
}

function setTransparent(fd: number, family: 4 | 6, mode: 'required' | 'auto' | 'never'): boolean {
  if (mode === 'never') return false
  const set = setIntOption(fd, SOL_IP, IP_TRANSPARENT, 1)
  if (!set && mode === 'required') throw systemCallError('setsockopt', 'IP_TRANSPARENT', lastErrno())
  if (family === 6) setIntOption(fd, SOL_IPV6, IPV6_TRANSPARENT, 1)
  return set
}

function readOriginalDestination(
  fd: number,
  level: number,
  name: number,
  size: number,
): Endpoint | undefined {
  const value = Buffer.allocUnsafe(size)
  const length = [size]
  if (libc.getsockopt(fd, level, name, value, length) !== 0) return undefined
  return decodeInetAddress(length[0] === size ? value : value.subarray(0, length[0]))
}

function closeOnThrow<T>(fd: number, fn: () => T): T {
  try {
    return fn()
  } catch (error) {
    closeQuietly(fd)
    throw error
  }
}

function wholeSeconds(milliseconds: number): number {
  return clamp(Math.ceil(milliseconds / 1000), 1, MAX_KEEPALIVE_SECONDS)
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, Math.trunc(value)))
}
