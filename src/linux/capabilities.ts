import { readFileSync } from 'node:fs'

/** Numbers of linux/capability.h. */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 } as const

/** A capability by its kernel name. */
export type Capability = keyof typeof CAPABILITIES

/** Which of these this process does not have, by `CapEff` of its status (capabilities(7)), in its own user namespace. */
export function missingCapabilities(wanted: readonly Capability[]): readonly Capability[] {
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  const bits = BigInt(`0x${effective}`)
  return wanted.filter((capability) => ((bits >> BigInt(CAPABILITIES[capability])) & 1n) === 0n)
}
