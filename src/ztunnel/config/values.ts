import { existsSync, readFileSync } from 'node:fs'
import { ProxyError } from '../errors.ts'

/** The files that configuration looks at. */
export interface FileSystemPort {
  exists(path: string): boolean
  /** UTF-8. Throws when there is none to read. */
  readText(path: string): string
}

/** The process's environment, or a test's. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The machine's files. */
export const nodeFiles: FileSystemPort = {
  exists: (path) => existsSync(path),
  readText: (path) => readFileSync(path, 'utf8'),
}

/**
 * Reads typed values out of the environment. A variable that is set to the
 * empty string counts as set: some mean something by it.
 */
export class Values {
  readonly #env: Environment
  readonly #warnings: string[] = []
  readonly #asked = new Set<string>()

  constructor(env: Environment) {
    this.#env = env
  }

  /** What was set but has no effect, for the operator's eyes. */
  get warnings(): readonly string[] {
    return this.#warnings
  }

  /** Every name that was asked for so far, set or not. */
  get names(): ReadonlySet<string> {
    return this.#asked
  }

  warn(text: string): void {
    this.#warnings.push(text)
  }

  optional(name: string): string | undefined {
    this.#asked.add(name)
    return this.#env[name]
  }

  /** Empty means unset. */
  filled(name: string): string | undefined {
    const value = this.optional(name)
    return value === undefined || value === '' ? undefined : value
  }

  text(name: string, defaultValue: string): string {
    return this.optional(name) ?? defaultValue
  }

  /** The variables that begin with `prefix`, without it. */
  prefixed(prefix: string): readonly (readonly [suffix: string, value: string])[] {
    return Object.entries(this.#env)
      .filter((entry): entry is [string, string] => entry[0].startsWith(prefix) && entry[1] !== undefined)
      .map(([name, value]) => [name.slice(prefix.length), value] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
  }

  boolean(name: string, defaultValue: boolean): boolean {
    return this.optionalBoolean(name) ?? defaultValue
  }

  /** Exactly `true` or `false`. */
  optionalBoolean(name: string): boolean | undefined {
    const value = this.optional(name)
    if (value === undefined) return undefined
    if (value === 'true') return true
    if (value === 'false') return false
    throw invalid(name, value, 'true or false')
  }

  choice<Choice extends string>(name: string, choices: readonly Choice[], defaultValue: Choice): Choice {
    const value = this.optional(name)
    if (value === undefined) return defaultValue
    const chosen = choices.find((choice) => choice === value)
    if (chosen === undefined) throw invalid(name, value, choices.join(' or '))
    return chosen
  }

  integer(name: string, defaultValue: number, min: number, max: number): number {
    return this.optionalInteger(name, min, max) ?? defaultValue
  }

  optionalInteger(name: string, min: number, max: number): number | undefined {
    const value = this.optional(name)
    if (value === undefined) return undefined
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN
    if (!(number >= min && number <= max)) throw invalid(name, value, `a whole number from ${min} to ${max}`)
    return number
  }

  /** 0 asks the system for any free port. */
  port(name: string, defaultValue: number): number {
    return this.integer(name, defaultValue, 0, MAX_PORT)
  }

  durationMs(name: string, defaultMs: number): number {
    return this.optionalDurationMs(name) ?? defaultMs
  }

  optionalDurationMs(name: string): number | undefined {
    const value = this.optional(name)
    if (value === undefined) return undefined
    const ms = parseDurationMs(value)
    if (ms === undefined)
      throw invalid(name, value, 'a duration such as 10s, 5m or 1h30m; a bare number is seconds')
    return ms
  }

  /** Says that a variable is known and has no effect here, unless it asks for what happens anyway. */
  ignored(name: string, because: string, harmless: readonly string[] = []): void {
    const value = this.optional(name)
    if (value === undefined || value === '' || harmless.includes(value)) return
    this.warn(`env var ${name}=${value} has no effect: ${because}`)
  }

  /** Refuses a variable whose promise cannot be kept: going on would be worse than stopping. */
  refused(name: string, because: string, harmless: readonly string[] = []): void {
    const value = this.optional(name)
    if (value === undefined || value === '' || harmless.includes(value)) return
    throw configurationError(`unsupported env var ${name} (${because})`)
  }
}

/** `invalid env var NAME=VALUE (expected …)`, code `configuration`. */
export function invalid(name: string, value: string, expected: string, options?: ErrorOptions): ProxyError {
  return configurationError(`invalid env var ${name}=${value} (expected ${expected})`, options)
}

export function configurationError(message: string, options?: ErrorOptions): ProxyError {
  return new ProxyError('configuration', message, options)
}

/** `10s`, `1h30m`, `250ms`; a bare number is seconds. Undefined when it is none. Milliseconds. */
export function parseDurationMs(text: string): number | undefined {
  if (/^\d+$/.test(text)) return bounded(Number(text) * 1000)
  let rest = text
  let total = 0
  do {
    const part = /^(\d+)\s*(ms|us|µs|ns|s|m|h|d|w)\s*/.exec(rest)
    const unit = UNIT_MS[part?.[2] ?? '']
    if (part === null || unit === undefined) return undefined
    total += Number(part[1]) * unit
    rest = rest.slice(part[0].length)
  } while (rest !== '')
  return bounded(total)
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

const MAX_PORT = 65_535

function bounded(ms: number): number | undefined {
  return Number.isSafeInteger(Math.round(ms)) ? ms : undefined
}
