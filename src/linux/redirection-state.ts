import type { NetworkNamespace } from './netns.ts'
import { runProgram } from './program.ts'
import {
  type AddressFamilyRules,
  type EffectiveRedirection,
  MARK_MASK,
  ROUTE_TABLE,
  RULE_PREFERENCE,
} from './redirection-rules.ts'

/** Chain name to its rules, in order, without the leading `-A <chain>`. */
export type Chains = ReadonlyMap<string, readonly string[]>

/** What is in a namespace now, as far as redirection is concerned. */
export interface RedirectionState {
  /** Table name to its chains. */
  readonly tables: ReadonlyMap<string, Chains>
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
  const [saved, rules, routes] = await Promise.all([
    runProgram(ns, `${family.iptables}-save`, { arguments: [] }),
    runProgram(ns, 'ip', { arguments: [...ip, 'rule', 'show'] }),
    runProgram(ns, 'ip', {
      arguments: [...ip, 'route', 'show', 'table', String(ROUTE_TABLE)],
      accept: [0, NO_SUCH_TABLE],
    }),
  ])
  return {
    tables: parseSavedTables(saved),
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

/** Reads the output of `iptables-save`. Lines of no known form are passed over. */
export function parseSavedTables(text: string): ReadonlyMap<string, Chains> {
  const tables = new Map<string, Map<string, string[]>>()
  let chains = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      chains = new Map()
      tables.set(line.slice(1).trim(), chains)
      continue
    }
    const declared = /^:(\S+) /.exec(line)?.[1]
    if (declared !== undefined) chains.set(declared, chains.get(declared) ?? [])
    const [, chain, rule] = /^-A (\S+) (.*\S)\s*$/.exec(line) ?? []
    if (chain !== undefined && rule !== undefined) chains.set(chain, [...(chains.get(chain) ?? []), rule])
  }
  return tables
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
