import { TelemetryError } from './errors.ts'

/** Severity of a line, most verbose first. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** A level, or nothing at all. */
export type LogThreshold = LogLevel | 'off'

/** Which lines are written: the RUST_LOG of Istio's ztunnel, without its span syntax. */
export interface LogFilter {
  /** For every scope that no target names. */
  readonly default: LogThreshold
  /** Scope, or a parent of scopes, to its level; the longest one that fits a scope decides. */
  readonly targets: ReadonlyMap<string, LogThreshold>
}

/** What ztunnel logs when RUST_LOG says nothing. */
export const DEFAULT_LOG_FILTER: LogFilter = { default: 'info', targets: new Map() }

/**
 * Scopes that stand alone. All others belong to the `ztunnel` crate in the
 * reference, whose JSON lines and filters call them `ztunnel::<scope>`.
 */
const BARE_SCOPES: ReadonlySet<string> = new Set(['access', 'dns'])

const CRATE = 'ztunnel'

const SEVERITY: Readonly<Record<LogThreshold, number>> = {
  trace: 0,
  debug: 1,
  info: 2,
  warn: 3,
  error: 4,
  off: 5,
}

/** Room for every scope there is, several times over; POST /logging must not grow the filter for ever. */
const MAX_TARGETS = 256

/**
 * Parses `info` or `access=debug,info`. What the text leaves open is taken
 * from `base`; the later directive of a kind wins.
 *
 * @throws TelemetryError `invalid-log-filter`: an unknown level, or a target without one.
 */
export function parseLogFilter(text: string, base: LogFilter = DEFAULT_LOG_FILTER): LogFilter {
  const targets = new Map(base.targets)
  let defaultLevel = base.default
  for (const directive of text.split(',').map((part) => part.trim())) {
    if (directive === '') continue
    const equals = directive.indexOf('=')
    const level = threshold(directive.slice(equals + 1), directive)
    if (equals === -1) {
      defaultLevel = level
      continue
    }
    targets.set(targetName(directive.slice(0, equals), directive), level)
  }
  if (targets.size > MAX_TARGETS) {
    throw new TelemetryError('invalid-log-filter', `more than ${MAX_TARGETS} targets in the log filter`)
  }
  return { default: defaultLevel, targets }
}

/** The text that parses to this filter; targets in alphabetical order, the default last. */
export function formatLogFilter(filter: LogFilter): string {
  const targets = [...filter.targets].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return [...targets.map(([target, level]) => `${target}=${level}`), filter.default].join(',')
}

/** The level from which on a scope writes. */
export function thresholdOf(filter: LogFilter, scope: string): LogThreshold {
  const full = qualifiedScope(scope)
  let best: { length: number; level: LogThreshold } = { length: -1, level: filter.default }
  for (const [target, level] of filter.targets) {
    if (target.length > best.length && (covers(target, scope) || covers(target, full))) {
      best = { length: target.length, level }
    }
  }
  return best.level
}

/** Whether a line of `level` passes `threshold`. */
export function passes(level: LogLevel, threshold: LogThreshold): boolean {
  return SEVERITY[level] >= SEVERITY[threshold]
}

/** The scope as JSON lines name it: `ztunnel::xds::client`, but `access`. */
export function qualifiedScope(scope: string): string {
  return BARE_SCOPES.has(scope) ? scope : `${CRATE}::${scope}`
}

function threshold(text: string, directive: string): LogThreshold {
  const level = text.trim().toLowerCase()
  if (isThreshold(level)) return level
  throw new TelemetryError(
    'invalid-log-filter',
    `invalid log directive "${directive}" (expected off, error, warn, info, debug or trace, or target=level)`,
  )
}

function isThreshold(text: string): text is LogThreshold {
  return Object.hasOwn(SEVERITY, text)
}

function targetName(text: string, directive: string): string {
  const target = text.trim()
  if (/^[\w-]+(::[\w-]+)*$/.test(target)) return target
  throw new TelemetryError(
    'invalid-log-filter',
    `invalid log directive "${directive}" (expected a target such as access or xds::client before the =)`,
  )
}

function covers(target: string, scope: string): boolean {
  return scope === target || scope.startsWith(`${target}::`)
}
