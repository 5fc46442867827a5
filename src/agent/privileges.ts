import { missingCapabilities } from '../linux/index.ts'

/**
 * Refuses to start without the capabilities that redirection takes. Otherwise each pod would fail by itself, one warning
 * after the other, behind an agent that looks alive. Throws an Error that says what to give.
 */
export function requireAgentPrivileges(): void {
  const missing = missingCapabilities(['CAP_SYS_ADMIN', 'CAP_NET_ADMIN'])
  if (missing.length === 0) return
  const flags = missing.map((capability) => `--cap-add ${capability.slice('CAP_'.length)}`).join(' ')
  const needed =
    'the agent takes CAP_SYS_ADMIN to enter the network namespaces of pods and CAP_NET_ADMIN to write rules there'
  throw new Error(
    `${needed}; ${missing.join(' and ')} missing: run it as root, a container with ${flags} (cap_add in compose)`,
  )
}
