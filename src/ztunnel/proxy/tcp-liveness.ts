import { type KeepAliveOptions, setKeepAlive, setUserTimeout } from '../../linux/index.ts'

/** How the kernel finds out that a TCP peer is gone (wire/ztunnel 1.9, 1.10). */
export interface TcpLiveness {
  /** KEEPALIVE_*; undefined leaves the kernel's default, which is off. */
  readonly keepAlive: KeepAliveOptions | undefined
  /** TCP_USER_TIMEOUT; undefined leaves the kernel's default, some 15 minutes of retransmissions. */
  readonly userTimeoutMs: number | undefined
}

/** Sets it on a socket. What the kernel refuses is left out: a connection is not lost for that. */
export function applyTcpLiveness(fd: number, { keepAlive, userTimeoutMs }: TcpLiveness): void {
  if (keepAlive !== undefined) setKeepAlive(fd, keepAlive)
  if (userTimeoutMs !== undefined) setUserTimeout(fd, userTimeoutMs)
}
