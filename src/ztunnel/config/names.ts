import { configurationError, type Environment } from './values.ts'

/** Variables with this prefix are ours or ztunnel's: one that nobody reads is a mistake. */
const PREFIX = 'ZTUNNEL_'

/** Set for our own test runner, benchmarks and labs, whose processes pass them on. */
const OF_OTHER_PROGRAMS = /^ZTUNNEL_(?:(?:TEST|BENCH|LAB)_|ENVOY$)/

/** Kubernetes tells a pod of every service in its namespace; one named ztunnel makes variables with our prefix. */
const OF_A_SERVICE =
  /^ZTUNNEL_(?:[A-Z0-9]+_)*?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/
const SERVICE_URL = /^(?:tcp|udp|sctp):\/\//

/** A name so close to one that we know is taken for a slip of the pen. */
const SLIP_DISTANCE = 1
/** Shorter names are close to others by chance. */
const MIN_SLIP_LENGTH = 8

/**
 * Refuses names with our prefix that nothing reads, with the nearest that something does: what such a variable was meant
 * to change stays as it is, and nobody would know. Returns a warning for each other name that looks like a slip.
 *
 * @throws ProxyError `configuration`.
 */
export function checkNames(env: Environment, known: ReadonlySet<string>): readonly string[] {
  const warnings: string[] = []
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || known.has(name) || OF_OTHER_PROGRAMS.test(name)) continue
    if (name.startsWith(PREFIX)) {
      if (OF_A_SERVICE.test(name) || SERVICE_URL.test(value)) continue
      const meant = nearest(name, known)
      throw configurationError(
        `unknown env var ${name}${meant === undefined ? '' : ` (did you mean ${meant}?)`}`,
      )
    }
    if (name.length < MIN_SLIP_LENGTH) continue
    const meant = [...known].find(
      (candidate) => editDistance(name, candidate, SLIP_DISTANCE) <= SLIP_DISTANCE,
    )
    if (meant !== undefined) warnings.push(`env var ${name} has no effect: did you mean ${meant}?`)
  }
  return warnings
}

/** The known name with our prefix that takes the fewest edits, if it takes less than half of the name. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let found: string | undefined
  let least = Math.ceil(name.length / 2)
  for (const candidate of known) {
    const distance = editDistance(name, candidate, least)
    if (distance >= least) continue
    least = distance
    found = candidate
  }
  return found
}

/** Letters to insert, delete or replace (Levenshtein), given up with `bound + 1` once it is more than `bound`. */
export function editDistance(from: string, to: string, bound: number): number {
  if (Math.abs(from.length - to.length) > bound) return bound + 1
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    if (Math.min(...next) > bound) return bound + 1
    row = next
  }
  return row[to.length] ?? 0
}
