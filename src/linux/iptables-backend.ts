import { readFileSync, realpathSync } from 'node:fs'
import type { NetworkNamespace } from './netns.ts'
import { findProgram, runProgram } from './program.ts'
import { type AddressFamilyRules, OUTPUT_CHAIN, PREROUTING_CHAIN } from './redirection-rules.ts'
import { type Chains, parseSavedTables } from './saved-tables.ts'

/**
 * Which of the two back ends of iptables: the machine's own choice (`iptables`), the older one with tables of its own in
 * the kernel (`iptables-legacy`), or the one that writes nftables (`iptables-nft`). The kernel applies both, so rules
 * must stay with the back end that has them.
 */
export type IptablesBackend = '' | '-legacy' | '-nft'

/** The tables of one back end. */
export interface BackendTables {
  readonly backend: IptablesBackend
  /** Table name to its chains. */
  readonly tables: ReadonlyMap<string, Chains>
}

/** What the back ends hold in a namespace, for one address family. */
export interface IptablesState {
  /** Where our rules are or, if there are none yet, belong: with the machine's own choice. */
  readonly current: BackendTables
  /** Other back ends that hold chains of ours too. */
  readonly stale: readonly BackendTables[]
}

/**
 * Reads the tables, of other back ends only where they may hold something: one process in the usual case. Rejects with
 * LinuxError `program-missing` or `program-failed`.
 */
export async function readIptables(ns: NetworkNamespace, family: AddressFamilyRules): Promise<IptablesState> {
  const own = await readBackend(ns, family, '')
  const others = await Promise.all(
    otherBackends(ns, family).map((backend) => readBackend(ns, family, backend)),
  )
  const [current, ...stale] = [own, ...others].filter(({ tables }) => holdsOurChains(tables))
  return { current: current ?? own, stale }
}

/** Feeds a script to `iptables-restore` of a back end, without touching what it does not name. */
export async function restoreIptables(
  ns: NetworkNamespace,
  family: AddressFamilyRules,
  backend: IptablesBackend,
  input: string,
): Promise<void> {
  const options = ['--noflush', '--wait', LOCK_WAIT_SECONDS]
  await runProgram(ns, `${family.iptables}${backend}-restore`, { arguments: options, input })
}

/** Whether the older back end has tables in a namespace. Asking its programs instead would create them. */
export function hasLegacyTables(ns: NetworkNamespace, family: AddressFamilyRules): boolean {
  return legacyTables(ns, family).length > 0
}

/** Names of the tables that the older back end has in a namespace: `nat`, `mangle`, … */
export function legacyTables(ns: NetworkNamespace, family: AddressFamilyRules): readonly string[] {
  const file = family.name === 'IPv4' ? 'ip_tables_names' : 'ip6_tables_names'
  return ns.run(() => {
    const path = `/proc/thread-self/net/${file}`
    try {
      return readFileSync(path, 'utf8').split('\n').filter(Boolean)
    } catch {
      // Not there: no legacy table was ever made. Not readable: a namespace that is older than its user mapping,
      // whose legacy tables this user could not change either.
      return []
    }
  })
}

async function readBackend(
  ns: NetworkNamespace,
  family: AddressFamilyRules,
  backend: IptablesBackend,
): Promise<BackendTables> {
  const saved = await runProgram(ns, `${family.iptables}${backend}-save`, { arguments: [] })
  return { backend, tables: parseSavedTables(saved) }
}

function otherBackends(ns: NetworkNamespace, family: AddressFamilyRules): readonly IptablesBackend[] {
  const chosen = ownBackend(family)
  const others: IptablesBackend[] = []
  const installed = (backend: IptablesBackend): boolean =>
    findProgram(`${family.iptables}${backend}-save`) !== undefined
  if (chosen !== '-legacy' && installed('-legacy') && hasLegacyTables(ns, family)) others.push('-legacy')
  if (chosen !== '-nft' && installed('-nft')) others.push('-nft')
  return others
}

/** What `iptables` is here: a link to the program of one back end; undefined when the link does not tell. */
function ownBackend(family: AddressFamilyRules): IptablesBackend | undefined {
  const program = findProgram(family.iptables)
  if (program === undefined) return undefined
  const target = realpathSync(program)
  if (target.includes('nft')) return '-nft'
  return target.includes('legacy') ? '-legacy' : undefined
}

function holdsOurChains(tables: ReadonlyMap<string, Chains>): boolean {
  return [...tables.values()].some((chains) => chains.has(PREROUTING_CHAIN) || chains.has(OUTPUT_CHAIN))
}

/** How long to wait for iptables' lock, which other programs in the namespace may hold. */
const LOCK_WAIT_SECONDS = '5'
