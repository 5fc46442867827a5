import {
  AF_INET,
  AF_INET6,
  SO_MARK,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from './constants.ts'
import { check, closeQuietly, libc, requireIntOption } from './libc.ts'
import { preferNewestListeners } from './reuse-port.ts'
import { addressFamily, encodeInetAddress } from './sockaddr.ts'

/** How to make a UDP socket; see {@link bindUdp}. */
export interface BindUdpOptions {
  /** Own IP address to receive on; `0.0.0.0` or `::` for a socket that only asks. */
  readonly address: string
  /** 0 lets the kernel choose. */
  readonly port: number
  /** `SO_MARK`: what keeps the proxy's own packets out of the redirection rules. */
  readonly mark?: number
  /** `SO_REUSEPORT`, for hand-over to a new process, which gets all new datagrams. Default false. */
  readonly reusePort?: boolean
}

/**
 * Makes a bound UDP socket in the thread's current network namespace, so call it inside `NetworkNamespace.run`. The
 * descriptor is non-blocking and close-on-exec, ready for `dgram.Socket.bind({ fd })`, which takes it over. Throws
 * LinuxError `system-call`, with nothing left open.
 */
export function bindUdp(options: BindUdpOptions): number {
  const { address, port, mark, reusePort } = options
  const where = `UDP ${address} port ${port}`
  const domain = addressFamily(address) === 4 ? AF_INET : AF_INET6
  const fd = check(libc.socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket', where)
  try {
    if (reusePort) requireIntOption(fd, SOL_SOCKET, SO_REUSEPORT, 1, `reuse of ${where}`)
    if (mark !== undefined) requireIntOption(fd, SOL_SOCKET, SO_MARK, mark, `SO_MARK of ${where}`)
    const bytes = encodeInetAddress({ address, port })
    check(libc.bind(fd, bytes, bytes.length), 'bind', where)
    if (reusePort) preferNewestListeners(fd, { older: 1, own: 1 })
    return fd
  } catch (error) {
    closeQuietly(fd)
    throw error
  }
}
