import { readFileSync } from 'node:fs'
import type { NetworkNamespace } from './netns.ts'

/**
 * IPv6 in a network namespace. `absent`: the kernel has none, no packet can use it. `disabled`: switched off on loopback
 * (`net.ipv6.conf.lo.disable_ipv6`), so that nothing can be routed to it; other interfaces may still have it.
 */
export type Ipv6Support = 'absent' | 'disabled' | 'enabled'

/** What a namespace has of IPv6 now; it may change at any time. Unreadable counts as enabled. */
export function ipv6Support(ns: NetworkNamespace): Ipv6Support {
  try {
    const text = ns.run(() => readFileSync('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'utf8'))
    return text.trim() === '1' ? 'disabled' : 'enabled'
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    return missing ? 'absent' : 'enabled'
  }
}

/** Whether some interface has an IPv6 address that reaches further than its link. */
export function hasGlobalIpv6(ns: NetworkNamespace): boolean {
  try {
    const table = ns.run(() => readFileSync('/proc/thread-self/net/if_inet6', 'utf8'))
    // Address, index, prefix length, scope, flags, name; scope 0 is global.
    return table.split('\n').some((line) => line.split(/\s+/)[3] === '00')
  } catch {
    return false
  }
}
