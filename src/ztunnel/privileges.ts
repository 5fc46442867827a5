import { LinuxError, tryNamespacePrivileges } from '../linux/index.ts'
import { ProxyError } from './errors.ts'

/**
 * Refuses to start without the privileges that serving pods takes. Otherwise each pod would fail by itself, one
 * warning after the other, behind a proxy that looks alive (wire/ztunnel 11.4).
 *
 * @throws ProxyError `configuration`.
 */
export function requireNamespacePrivileges(mark: number | undefined): void {
  try {
    tryNamespacePrivileges(mark)
  } catch (cause) {
    if (!(cause instanceof LinuxError)) throw cause
    const needed =
      'PROXY_MODE=shared takes CAP_SYS_ADMIN to enter the namespaces of pods and CAP_NET_ADMIN to mark sockets there'
    throw new ProxyError('configuration', `${needed}: ${cause.message}`, { cause })
  }
}
