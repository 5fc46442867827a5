import { InvalidArgumentError } from 'commander'

/** Seconds of a flag's value: a number and a unit, `90s`, `30m`, `12h`, `7d`. Throws `InvalidArgumentError`. */
export function parseSeconds(text: string): number {
  const match = /^(\d{1,9})([smhd])$/.exec(text)
  const unit = UNIT_SECONDS.get(match?.[2] ?? '')
  if (match?.[1] === undefined || unit === undefined) {
    throw new InvalidArgumentError('it must be a number and a unit: 90s, 30m, 12h, 7d')
  }
  return Number(match[1]) * unit
}

const UNIT_SECONDS: ReadonlyMap<string, number> = new Map([
  ['s', 1],
  ['m', 60],
  ['h', 3_600],
  ['d', 86_400],
])
