import pino from 'pino'
import { type Clock, systemClock } from './clock.ts'
import {
  formatLogFilter,
  type LogFilter,
  type LogLevel,
  type LogThreshold,
  parseLogFilter,
  passes,
  qualifiedScope,
  thresholdOf,
} from './log-filter.ts'
import { createTimestamp, formatPlainLine, jsonFields, type LogFields } from './log-format.ts'

/** Where lines go, each with its end of line. */
export interface LogDestination {
  write(line: string): unknown
  /** Begins to write at once what waits for more lines to come; absent where nothing waits. */
  handOver?(): void
  /** Blocks until everything written is out. */
  flushSync?(): void
}

/** `LOG_FORMAT`. */
export type LogFormat = 'plain' | 'json'

export interface LoggerOptions {
  readonly format: LogFormat
  /** A filter like RUST_LOG: `info`, `access=debug,info`. */
  readonly level: string
  /** Default: standard output. */
  readonly destination?: LogDestination
  readonly clock?: Clock
}

/** Writes the lines of one scope, e.g. `access` or `xds::client`. */
export interface ScopedLogger {
  trace(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** For callers whose fields are costly to make. */
  isLevelEnabled(level: LogLevel): boolean
}

/** The process's log. */
export interface Logger {
  /** The writer of a scope; the same object each time. Scopes are names in the code, never data. */
  scope(name: string): ScopedLogger
  /** The filter in force, as text. */
  filter(): string
  /**
   * Adds directives to the filter in force, in every scope at once.
   * @throws TelemetryError `invalid-log-filter`, with the filter unchanged.
   */
  addDirectives(directives: string): void
  /** Back to the filter that the logger was made with. */
  resetFilter(): void
  /** Puts a whole filter, as `filter` gives it, in the place of the one in force. */
  setFilter(filter: string): void
  /** Calls back with each filter that comes into force from now on, as text. */
  onFilter(listener: (filter: string) => void): void
  /** Writes lines that another thread's logger has made, each with its end. */
  relay(lines: string): void
  /** Blocks until everything logged is written; for the last line before the process ends. */
  flush(): void
}

/**
 * Bytes of log that may wait for a slow reader of standard output. Beyond it
 * logging blocks, as in Istio's ztunnel: a line is never lost, and a stuck
 * reader costs time, not memory. About 10,000 access lines (wire/ztunnel 15.1
 * holds 10,000 lines).
 */
const MAX_PENDING_BYTES = 8 * 1024 * 1024

/**
 * How long a line below `warn` waits for others to be written with,
 * milliseconds. A write of its own for each line is done by another thread and
 * costs a busy proxy six system calls per connection and two changes of thread;
 * nobody who reads a log sees the difference.
 */
const GATHER_MS = 20

/**
 * Makes the process's log.
 *
 * @throws TelemetryError `invalid-log-filter`.
 */
export function createLogger(options: LoggerOptions): Logger {
  const initial = parseLogFilter(options.level)
  const destination = options.destination ?? standardOutput()
  const sink = createSink(options.format, destination, options.clock ?? systemClock)
  return new ScopeRegistry(initial, sink, destination)
}

/** Writes one accepted line. */
type Sink = (scope: string) => (level: LogLevel, message: string, fields: LogFields | undefined) => void

class ScopeRegistry implements Logger {
  readonly #initial: LogFilter
  readonly #sink: Sink
  readonly #destination: LogDestination
  readonly #scopes = new Map<string, Scope>()
  readonly #listeners: ((filter: string) => void)[] = []
  #filter: LogFilter

  constructor(initial: LogFilter, sink: Sink, destination: LogDestination) {
    this.#initial = initial
    this.#filter = initial
    this.#sink = sink
    this.#destination = destination
  }

  scope(name: string): ScopedLogger {
    const known = this.#scopes.get(name)
    if (known !== undefined) return known
    const scope = new Scope(this.#sink(name), thresholdOf(this.#filter, name), () =>
      this.#destination.handOver?.(),
    )
    this.#scopes.set(name, scope)
    return scope
  }

  filter(): string {
    return formatLogFilter(this.#filter)
  }

  addDirectives(directives: string): void {
    this.#apply(parseLogFilter(directives, this.#filter))
  }

  resetFilter(): void {
    this.#apply(this.#initial)
  }

  setFilter(filter: string): void {
    this.#apply(parseLogFilter(filter))
  }

  onFilter(listener: (filter: string) => void): void {
    this.#listeners.push(listener)
  }

  relay(lines: string): void {
    this.#destination.write(lines)
  }

  flush(): void {
    this.#destination.flushSync?.()
  }

  #apply(filter: LogFilter): void {
    this.#filter = filter
    for (const [name, scope] of this.#scopes) scope.threshold = thresholdOf(filter, name)
    for (const listener of this.#listeners) listener(this.filter())
  }
}

class Scope implements ScopedLogger {
  threshold: LogThreshold
  readonly #write: ReturnType<Sink>
  readonly #handOver: () => void

  constructor(write: ReturnType<Sink>, threshold: LogThreshold, handOver: () => void) {
    this.#write = write
    this.threshold = threshold
    this.#handOver = handOver
  }

  trace(message: string, fields?: LogFields): void {
    this.#log('trace', message, fields)
  }

  debug(message: string, fields?: LogFields): void {
    this.#log('debug', message, fields)
  }

  info(message: string, fields?: LogFields): void {
    this.#log('info', message, fields)
  }

  warn(message: string, fields?: LogFields): void {
    this.#log('warn', message, fields)
  }

  error(message: string, fields?: LogFields): void {
    this.#log('error', message, fields)
  }

  isLevelEnabled(level: LogLevel): boolean {
    return passes(level, this.threshold)
  }

  #log(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (!passes(level, this.threshold)) return
    this.#write(level, message, fields)
    // The last words of a process that is killed are the ones that are looked for.
    if (level === 'warn' || level === 'error') this.#handOver()
  }
}

function createSink(format: LogFormat, destination: LogDestination, clock: Clock): Sink {
  const timestamp = createTimestamp()
  if (format === 'plain') {
    return (scope) => (level, message, fields) => {
      destination.write(`${formatPlainLine(timestamp(clock.now()), level, scope, message, fields)}\n`)
    }
  }
  const root = pino(
    {
      // The filter above decides; it can change at run time, scope by scope.
      level: 'trace',
      base: null,
      timestamp: () => `,"time":"${timestamp(clock.now())}"`,
      formatters: { level: (level) => ({ level }) },
    },
    { write: (line) => void destination.write(line) },
  )
  return (scope) => {
    const child = root.child({ scope: qualifiedScope(scope) })
    // The message travels as the first field, so that it stands where Istio's lines have it.
    return (level, message, fields) =>
      child[level](fields === undefined ? { message } : { message, ...jsonFields(fields) })
  }
}

/**
 * Standard output with bounded buffering: asynchronous while the reader keeps
 * up, blocking when it does not. Lines that come close together are written
 * together; what waits is written when the process ends, by an error too.
 */
function standardOutput(): LogDestination {
  const stream = pino.destination({ dest: 1, sync: false })
  let gathered = ''
  let pending = 0
  let timer: NodeJS.Timeout | undefined
  stream.on('write', (written: number) => {
    pending = Math.max(0, pending - written)
  })
  stream.on('drain', () => {
    pending = 0
  })
  const handOver = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (gathered !== '') stream.write(gathered)
    gathered = ''
  }
  const flushSync = (): void => {
    handOver()
    stream.flushSync()
    pending = 0
  }
  process.once('exit', flushSync)
  return {
    write: (line) => {
      pending += line.length
      gathered += line
      if (pending > MAX_PENDING_BYTES) flushSync()
      else timer ??= setTimeout(handOver, GATHER_MS)
    },
    handOver,
    flushSync,
  }
}
