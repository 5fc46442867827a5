import { type BackendTables, restoreIptables } from './iptables-backend.ts'
import { hasGlobalIpv6, ipv6Support } from './ipv6.ts'
import { NetworkNamespace } from './netns.ts'
import { runProgram } from './program.ts'
import {
  type AddressFamilyRules,
  type EffectiveRedirection,
  effectiveRedirection,
  IPV4_RULES,
  IPV6_RULES,
  localRoute,
  type RedirectionOptions,
  redirectionRules,
  routingRule,
} from './redirection-rules.ts'
import { matchesRules, removalScript, restoreScript } from './redirection-script.ts'
import { type RedirectionState, readRedirection, routingRuleMatches } from './redirection-state.ts'

/**
 * Puts the redirection of an ambient pod into a network namespace, as istio-cni would. What is there of it already is
 * replaced, with the iptables back end that holds it; what others put there is left alone, and when all is as wanted
 * nothing is written. The proxy must listen
 * (or come to listen) on the redirected ports: until then the pod's connections fail, they do not go past the mesh.
 * True when something was changed. Not to be called twice at a time for one namespace.
 *
 * Rejects with LinuxError `program-missing`, `program-failed`, `system-call` (opening the path) and
 * `not-a-network-namespace`.
 */
export function applyRedirection(
  namespace: NetworkNamespace | string,
  options: RedirectionOptions = {},
): Promise<boolean> {
  const wanted = effectiveRedirection(options)
  return within(namespace, (ns) =>
    forEachFamily(ns, wanted, async (family, routable) => {
      const state = await readRedirection(ns, family)
      if (inPlace(state, family, wanted, routable)) return false
      const { current, stale } = state.iptables
      if (routable) await applyRouting(ns, family, wanted, state)
      const script = restoreScript(redirectionRules(family, wanted), current.tables)
      await restoreIptables(ns, family, current.backend, script)
      // The kernel asks both back ends: rules in two of them would disagree sooner or later.
      await removeChains(ns, family, stale)
      return true
    }),
  )
}

/**
 * Takes the redirection out again: both chains in every table, the routing rule and its route. True when something was
 * there. IPv6 is looked at only if `ipv6` is set. Rejects as {@link applyRedirection}.
 */
export function removeRedirection(
  namespace: NetworkNamespace | string,
  options: RedirectionOptions = {},
): Promise<boolean> {
  const wanted = effectiveRedirection(options)
  return within(namespace, (ns) =>
    forEachFamily(ns, wanted, async (family) => {
      const state = await readRedirection(ns, family)
      const { current, stale } = state.iptables
      const chains = await removeChains(ns, family, [current, ...stale])
      const routing = await removeRouting(ns, family, wanted, state)
      return chains || routing
    }),
  )
}

/** Whether the redirection is there exactly as {@link applyRedirection} would write it. Rejects likewise. */
export function redirectionInPlace(
  namespace: NetworkNamespace | string,
  options: RedirectionOptions = {},
): Promise<boolean> {
  const wanted = effectiveRedirection(options)
  return within(namespace, async (ns) => {
    const missing = await forEachFamily(
      ns,
      wanted,
      async (family, routable) => !inPlace(await readRedirection(ns, family), family, wanted, routable),
    )
    return !missing
  })
}

/**
 * Does something for each address family that is to be redirected and that the namespace has; `routable` tells whether
 * its loopback can be routed to. True when it was true for one of them.
 */
async function forEachFamily(
  ns: NetworkNamespace,
  wanted: EffectiveRedirection,
  fn: (family: AddressFamilyRules, routable: boolean) => Promise<boolean>,
): Promise<boolean> {
  const four = await fn(IPV4_RULES, true)
  const support = wanted.ipv6 === false ? 'absent' : ipv6Support(ns)
  if (support === 'absent') return four
  try {
    return (await fn(IPV6_RULES, support === 'enabled')) || four
  } catch (error) {
    // No ip6tables, or no tables for it in the kernel.
    if (wanted.ipv6 === 'if-possible' && !hasGlobalIpv6(ns)) return four
    throw error
  }
}

async function removeChains(
  ns: NetworkNamespace,
  family: AddressFamilyRules,
  holders: readonly BackendTables[],
): Promise<boolean> {
  let removed = false
  for (const { backend, tables } of holders) {
    const script = removalScript(tables)
    if (script === '') continue
    await restoreIptables(ns, family, backend, script)
    removed = true
  }
  return removed
}

async function within<T>(
  namespace: NetworkNamespace | string,
  fn: (namespace: NetworkNamespace) => Promise<T>,
): Promise<T> {
  if (typeof namespace !== 'string') return fn(namespace)
  const opened = NetworkNamespace.open(namespace)
  try {
    return await fn(opened)
  } finally {
    opened.close()
  }
}

function inPlace(
  { iptables, routingRules, localRoute }: RedirectionState,
  family: AddressFamilyRules,
  wanted: EffectiveRedirection,
  routable: boolean,
): boolean {
  const routed = localRoute && routingRules.some((rule) => routingRuleMatches(rule, wanted))
  if (routable && !routed) return false
  return (
    iptables.stale.length === 0 && matchesRules(redirectionRules(family, wanted), iptables.current.tables)
  )
}

/** Routing first: rules without it would send the app's replies out to the client, past the proxy. */
async function applyRouting(
  ns: NetworkNamespace,
  family: AddressFamilyRules,
  wanted: EffectiveRedirection,
  state: RedirectionState,
): Promise<void> {
  const commands: string[] = []
  if (!state.localRoute) commands.push(`route add ${localRoute(family).join(' ')}`)
  const present = state.routingRules.some((rule) => routingRuleMatches(rule, wanted))
  if (!present) commands.push(`rule add ${routingRule(wanted).join(' ')}`)
  await batch(ns, family, commands)
}

async function removeRouting(
  ns: NetworkNamespace,
  family: AddressFamilyRules,
  wanted: EffectiveRedirection,
  state: RedirectionState,
): Promise<boolean> {
  const commands: string[] = []
  for (const rule of state.routingRules) {
    if (routingRuleMatches(rule, wanted)) commands.push(`rule del ${routingRule(wanted).join(' ')}`)
  }
  if (state.localRoute) commands.push(`route del ${localRoute(family).join(' ')}`)
  await batch(ns, family, commands)
  return commands.length > 0
}

async function batch(
  ns: NetworkNamespace,
  family: AddressFamilyRules,
  commands: readonly string[],
): Promise<void> {
  if (commands.length === 0) return
  const input = `${commands.join('\n')}\n`
  await runProgram(ns, 'ip', { arguments: [family.ipOption, '-batch', '-'], input })
}
