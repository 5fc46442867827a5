import { InvalidArgumentError } from 'commander'
// Not from its index, which loads the certificate library: every command starts from one program.
import { MAX_TTL_SECONDS, MIN_TTL_SECONDS } from '../identity/svid-ttl.ts'

/** Seconds of a flag's value: a number and a unit, `90s`, `30m`, `12h`, `7d`. Throws `InvalidArgumentError`. */
export function parseSeconds(text: string): number {
  const match = /^(\d{1,9})([smhd])$/.exec(text)
  const unit = UNIT_SECONDS.get(match?.[2] ?? '')
  if (match?.[1] === undefined || unit === undefined) {
    throw new InvalidArgumentError('it must be a number and a unit: 90s, 30m, 12h, 7d')
  }
  return Number(match[1]) * unit
}

/** The same, for the lifetime of a workload certificate: within the CA's limits. */
export function parseSvidTtl(text: string): number {
  const seconds = parseSeconds(text)
  if (seconds >= MIN_TTL_SECONDS && seconds <= MAX_TTL_SECONDS) return seconds
  throw new InvalidArgumentError(`it must be from ${MIN_TTL_SECONDS}s to ${MAX_TTL_SECONDS / 86_400}d`)
}

const UNIT_SECONDS: ReadonlyMap<string, number> = new Map([
  ['s', 1],
  ['m', 60],
  ['h', 3_600],
  ['d', 86_400],
])
