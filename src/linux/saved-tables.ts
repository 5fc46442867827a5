/** Chain name to its rules, in order, without the leading `-A <chain>`. */
export type Chains = ReadonlyMap<string, readonly string[]>

/** Reads the output of `iptables-save`: table name to its chains. Lines of no known form are passed over. */
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
