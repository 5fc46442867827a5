import type { ChildProcess } from 'node:child_process'
import { createWriteStream, type WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { NetworkNamespace } from '../linux/index.ts'
import { compileCache } from './app.ts'
import { spawnIn } from './command.ts'
import { LabError } from './errors.ts'

export interface ComponentOptions {
  /** As the user reads it: `ztunnel@node-a`, `app bar/httpbin`. */
  readonly name: string
  readonly namespace: NetworkNamespace
  /** Default: Node. */
  readonly program?: string
  /** Its arguments; Node's are a program and its own. */
  readonly argv: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Every line of both outputs is appended to it. */
  readonly logFile: string
  readonly onLine?: (line: string) => void
}

/** How a component ended. */
export interface ComponentExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** One process of the lab: a proxy, an agent, the config server, an application. */
export class Component {
  readonly name: string
  readonly logFile: string
  readonly exited: Promise<ComponentExit>
  readonly #child: ChildProcess
  readonly #log: WriteStream
  readonly #tail: string[] = []
  readonly #watchers = new Set<(line: string) => void>()
  #running = true

  private constructor(options: ComponentOptions) {
    this.name = options.name
    this.logFile = options.logFile
    this.#log = createWriteStream(options.logFile, { flags: 'a' })
    // The log is for the reader; a full disk must not take the lab down.
    this.#log.on('error', () => undefined)
    this.#child = spawnIn(options.namespace, options.program ?? process.execPath, options.argv, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_COMPILE_CACHE: compileCache(), ...options.env },
    })
    const { stdout, stderr } = this.#child
    if (stdout !== null) this.#read(stdout, options.onLine)
    if (stderr !== null) this.#read(stderr, undefined)
    this.exited = new Promise((resolve) => {
      const ended = (exit: ComponentExit): void => {
        this.#running = false
        this.#log.end()
        resolve(exit)
      }
      this.#child.once('error', (error) => {
        this.#tail.push(error.message)
        ended({ code: null, signal: null })
      })
      this.#child.once('exit', (code, signal) => ended({ code, signal }))
    })
  }

  static start(options: ComponentOptions): Component {
    return new Component(options)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get running(): boolean {
    return this.#running
  }

  /** Its last lines, for an error message. */
  get tail(): readonly string[] {
    return this.#tail
  }

  /** Waits for a line; `what` says in an error what it would have meant. Lines already seen count. */
  async waitForLine(
    matches: (line: string) => boolean,
    what: string,
    timeoutMs = READY_TIMEOUT_MS,
  ): Promise<void> {
    if (this.#tail.some(matches)) return
    let watcher: ((line: string) => void) | undefined
    const seen = new Promise<void>((resolve) => {
      watcher = (line) => {
        if (matches(line)) resolve()
      }
      this.#watchers.add(watcher)
    })
    try {
      await this.within(seen, what, timeoutMs)
    } finally {
      if (watcher !== undefined) this.#watchers.delete(watcher)
    }
  }

  /**
   * Rejects with LabError `not-ready` if `event` takes longer than `timeoutMs`
   * or the process ends first. `state` says in the error how far it had come.
   */
  async within<T>(
    event: Promise<T>,
    what: string,
    timeoutMs = READY_TIMEOUT_MS,
    state: () => string = () => '',
  ): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const problem = `did not ${what} within ${timeoutMs / 1000} s`
      timer = setTimeout(() => {
        const reached = state()
        reject(this.#notReady(reached === '' ? problem : `${problem} (${reached})`))
      }, timeoutMs)
    })
    try {
      return await Promise.race([event, late, this.untilGone(what)])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Never resolves; rejects with LabError `not-ready` when the process ends. */
  untilGone(what: string): Promise<never> {
    const gone = this.exited.then(({ code, signal }) => {
      throw this.#notReady(`ended (${signal ?? `exit status ${code}`}) before it could ${what}`)
    })
    // Who has stopped waiting must not be told any more.
    gone.catch(() => undefined)
    return gone
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#running) this.#child.kill(signal)
  }

  /** Asks it to end, then makes it. */
  async stop(graceMs = STOP_GRACE_MS): Promise<void> {
    if (!this.#running) return
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs)
    await this.exited
    clearTimeout(timer)
  }

  #read(stream: Readable, onLine: ((line: string) => void) | undefined): void {
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
      if (this.#running) this.#log.write(`${line}\n`)
      this.#tail.push(line)
      if (this.#tail.length > TAIL_LINES) this.#tail.shift()
      onLine?.(line)
      for (const watcher of this.#watchers) watcher(line)
    })
  }

  #notReady(what: string): LabError {
    const shown = this.#tail.slice(-SHOWN_LINES).map((line) => `  ${line.slice(0, MAX_SHOWN_CHARACTERS)}`)
    const said = shown.length === 0 ? 'It printed nothing.' : `Its last lines:\n${shown.join('\n')}`
    return new LabError('not-ready', `${this.name} ${what}. ${said}`)
  }
}

/** Generous: a cold start of twenty processes takes five seconds on two cores, and half a minute where ten times as much is under way. */
const READY_TIMEOUT_MS = 60_000
/** A proxy drains for at most this long when the lab ends. */
const STOP_GRACE_MS = 1_500
/** Kept in memory for late watchers and for errors. */
const TAIL_LINES = 200
const SHOWN_LINES = 12
const MAX_SHOWN_CHARACTERS = 400
