import { type IptablesState, readIptables } from './iptables-backend.ts'
import type { NetworkNamespace } from './netns.ts'
import { runProgram } from './program.ts'
import {
  type AddressFamilyRules,
  type EffectiveRedirection,
  MARK_MASK,
  ROUTE_TABLE,
  RULE_PREFERENCE,
} from './redirection-rules.ts'

/** What is in a namespace now, as far as redirection is concerned. */
export interface RedirectionState {
  readonly iptables: IptablesState
  /** Routing rules at our preference. */
  readonly routingRules: readonly RoutingRule[]
  /** Whether our routing table delivers everything locally. */
  readonly localRoute: boolean
}

/** One entry of `ip -json rule show`, the part that we look at. */
export interface RoutingRule {
  readonly priority: number
  readonly table: string
  readonly mark: number | undefined
  readonly mask: number
}

/** `ip route show` of a table that never had a route. */
const NO_SUCH_TABLE = 2
/** What `ip` prints for a rule without a mask. */
const WHOLE_MARK = 0xffffffff

/** Reads the state for one address family. Rejects with LinuxError `program-missing` or `program-failed`. */
export async function readRedirection(
  ns: NetworkNamespace,
  family: AddressFamilyRules,
): Promise<RedirectionState> {
  const ip = [family.ipOption, '-json']
  const [iptables, rules, routes] = await Promise.all([
    readIptables(ns, family),
    runProgram(ns, 'ip', { arguments: [...ip, 'rule', 'show'] }),
    runProgram(ns, 'ip', {
      arguments: [...ip, 'route', 'show', 'table', String(ROUTE_TABLE)],
      accept: [0, NO_SUCH_TABLE],
    }),
  ])
  return {
    iptables,
    routingRules: parseRoutingRules(rules).filter((rule) => rule.priority === RULE_PREFERENCE),
    localRoute: jsonObjects(routes).some(
      (route) => route['type'] === 'local' && route['dst'] === 'default' && route['dev'] === 'lo',
    ),
  }
}

/** Whether a routing rule is the one that we write. */
export function routingRuleMatches(rule: RoutingRule, wanted: EffectiveRedirection): boolean {
  return rule.mark === wanted.connectionMark && rule.mask === MARK_MASK && rule.table === String(ROUTE_TABLE)
}

function parseRoutingRules(json: string): RoutingRule[] {
  return jsonObjects(json).map((rule) => ({
    priority: Number(rule['priority']),
    table: String(rule['table']),
    mark: rule['fwmark'] === undefined ? undefined : Number(rule['fwmark']),
    mask: rule['fwmask'] === undefined ? WHOLE_MARK : Number(rule['fwmask']),
  }))
}

/** `ip -json` prints an array of objects; on some errors nothing, or the beginning of an array. */
function jsonObjects(text: string): Record<string, unknown>[] {
  if (!text.trimEnd().endsWith(']')) return []
  const value: unknown = JSON.parse(text)
  return Array.isArray(value) ? value.filter((item) => typeof item === 'object' && item !== null) : []
}
