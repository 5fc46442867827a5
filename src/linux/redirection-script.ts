import { OUTPUT_CHAIN, PREROUTING_CHAIN, TABLES, type TableRules } from './redirection-rules.ts'
import type { Chains } from './saved-tables.ts'

/** Our chains, with the built-in ones that jump to them. */
const OUR_CHAINS = [
  { name: PREROUTING_CHAIN, from: 'PREROUTING' },
  { name: OUTPUT_CHAIN, from: 'OUTPUT' },
] as const

/** Whether the tables hold our chains exactly as wanted: same rules in the same order, one jump to each, no more. */
export function matchesRules(wanted: readonly TableRules[], present: ReadonlyMap<string, Chains>): boolean {
  return TABLES.every((table) => {
    const chains = present.get(table) ?? new Map()
    const rules = wanted.find((candidate) => candidate.table === table)
    return OUR_CHAINS.every(({ name, from }) => {
      const chain = rules?.chains.find((candidate) => candidate.name === name)
      const jumps = countJumps(chains, from, name)
      if (chain === undefined) return jumps === 0 && !chains.has(name)
      if (chain.first === true && !isFirst(chains, from, name)) return false
      return jumps === 1 && sameRules(chain.rules, chains.get(name))
    })
  })
}

/**
 * Input for `iptables-restore --noflush` that makes it so. Each table changes as a whole or not at all; declaring a
 * chain of ours empties it, other chains are not touched but for our jumps.
 */
export function restoreScript(wanted: readonly TableRules[], present: ReadonlyMap<string, Chains>): string {
  return TABLES.map((table) => {
    const chains = present.get(table) ?? new Map()
    const rules = wanted.find((candidate) => candidate.table === table)
    if (rules === undefined) return removalOf(table, chains)
    const lines = rules.chains.map((chain) => `:${chain.name} - [0:0]`)
    for (const chain of rules.chains) {
      const jumps = countJumps(chains, chain.from, chain.name)
      const jump = `${chain.from} -j ${chain.name}`
      // One that must be first is put there anew unless it is there alone: surplus ones are taken out from the front.
      const misplaced = chain.first === true && (jumps > 1 || !isFirst(chains, chain.from, chain.name))
      const anew = jumps === 0 || misplaced
      for (let surplus = anew ? 0 : 1; surplus < jumps; surplus++) lines.push(`-D ${jump}`)
      if (anew) lines.push(`${chain.first === true ? '-I' : '-A'} ${jump}`)
      for (const rule of chain.rules) lines.push(`-A ${chain.name} ${rule}`)
    }
    return transaction(table, lines)
  }).join('')
}

/** Input for `iptables-restore --noflush` that removes our chains; empty when there is nothing of ours. */
export function removalScript(present: ReadonlyMap<string, Chains>): string {
  // Reversed: capture ends first, what its open connections live on goes last.
  return [...TABLES]
    .reverse()
    .map((table) => removalOf(table, present.get(table) ?? new Map()))
    .join('')
}

function removalOf(table: string, chains: Chains): string {
  const lines: string[] = []
  for (const { name, from } of OUR_CHAINS) {
    for (let jumps = countJumps(chains, from, name); jumps > 0; jumps--) lines.push(`-D ${from} -j ${name}`)
    if (chains.has(name)) lines.push(`-F ${name}`, `-X ${name}`)
  }
  return transaction(table, lines)
}

function transaction(table: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `*${table}\n${lines.join('\n')}\nCOMMIT\n`
}

function countJumps(chains: Chains, from: string, to: string): number {
  return (chains.get(from) ?? []).filter((rule) => rule === `-j ${to}`).length
}

function isFirst(chains: Chains, from: string, to: string): boolean {
  return chains.get(from)?.[0] === `-j ${to}`
}

function sameRules(wanted: readonly string[], present: readonly string[] | undefined): boolean {
  return present?.length === wanted.length && wanted.every((rule, index) => rule === present[index])
}
