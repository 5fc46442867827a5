import { closeQuietly } from './libc.ts'
import { NetworkNamespace } from './netns.ts'
import { openTcpSocket } from './tcp-socket.ts'

/**
 * Tries, on the thread's own namespace, what each pod's needs: to enter it (CAP_SYS_ADMIN) and to mark a socket in it
 * (CAP_NET_ADMIN). Throws the LinuxError `system-call` that every pod would fail with.
 */
export function tryNamespacePrivileges(mark: number | undefined): void {
  using own = NetworkNamespace.current()
  closeQuietly(own.run(() => openTcpSocket({ family: 4, ...(mark === undefined ? {} : { mark }) })))
}
