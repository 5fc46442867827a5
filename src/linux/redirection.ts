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

/** Seconds to wait for iptables' lock, which other programs in the namespace may hold. */
const LOCK_WAIT_SECONDS = '5'

/**
 * Puts the redirection of an ambient pod into a network namespace, as istio-cni would. What is there of it already is
 * replaced, what others put there is left alone, and when all is as wanted nothing is written. The proxy must listen
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
  return within(namespace, async (ns) => {
    let changed = false
    for (const family of wanted.ipv6 ? [IPV4_RULES, IPV6_RULES] : [IPV4_RULES]) {
      const state = await readRedirection(ns, family)
      if (inPlace(state, family, wanted)) continue
      changed = true
      await applyRouting(ns, family, wanted, state)
      await restore(ns, family, restoreScript(redirectionRules(family, wanted), state.tables))
    }
    return changed
  })
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
  return within(namespace, async (ns) => {
    let changed = false
    for (const family of wanted.ipv6 ? [IPV4_RULES, IPV6_RULES] : [IPV4_RULES]) {
      const state = await readRedirection(ns, family)
      const script = removalScript(state.tables)
      if (script !== '') await restore(ns, family, script)
      const routing = await removeRouting(ns, family, wanted, state)
      if (script !== '' || routing) changed = true
    }
    return changed
  })
}

/** Whether the redirection is there exactly as {@link applyRedirection} would write it. Rejects likewise. */
export function redirectionInPlace(
  namespace: NetworkNamespace | string,
  options: RedirectionOptions = {},
): Promise<boolean> {
  const wanted = effectiveRedirection(options)
  return within(namespace, async (ns) => {
    for (const family of wanted.ipv6 ? [IPV4_RULES, IPV6_RULES] : [IPV4_RULES]) {
      if (!inPlace(await readRedirection(ns, family), family, wanted)) return false
    }
    return true
  })
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

function inPlace(state: RedirectionState, family: AddressFamilyRules, wanted: EffectiveRedirection): boolean {
  const routed = state.routingRules.some((rule) => routingRuleMatches(rule, wanted)) && state.localRoute
  return routed && matchesRules(redirectionRules(family, wanted), state.tables)
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

async function restore(ns: NetworkNamespace, family: AddressFamilyRules, input: string): Promise<void> {
  await runProgram(ns, `${family.iptables}-restore`, {
    arguments: ['--noflush', '--wait', LOCK_WAIT_SECONDS],
    input,
  })
}
