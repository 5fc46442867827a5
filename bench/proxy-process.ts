import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { spawnIn } from '../src/lab/command.ts'
import type { NetworkNamespace } from '../src/linux/index.ts'

export interface ProcessOptions {
  /** As messages name it: `haproxy out`. */
  readonly name: string
  readonly namespace: NetworkNamespace
  readonly program: string
  readonly argv: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Both outputs go there: a file is the cheapest reader, and nobody reads while it is measured. */
  readonly logFile: string
}

/** One proxy that is measured. */
export class ProxyProcess {
  readonly name: string
  readonly #child: ChildProcess
  readonly #logFile: string

  private constructor(options: ProcessOptions) {
    this.name = options.name
    this.#logFile = options.logFile
    const log = openSync(options.logFile, 'w')
    try {
      this.#child = spawnIn(options.namespace, options.program, options.argv, {
        stdio: ['ignore', log, log],
        env: { ...process.env, ...options.env },
      })
    } finally {
      closeSync(log)
    }
    // Reported by whoever waits for it to be ready.
    this.#child.on('error', () => undefined)
  }

  static start(options: ProcessOptions): ProxyProcess {
    return new ProxyProcess(options)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Asks `question` until it is true. Rejects with the last lines of the log when the process ends or takes too long. */
  async until(question: () => Promise<boolean>, what: string, timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (this.running && performance.now() < deadline) {
      if (await question()) return
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
    const problem = this.running
      ? `was not ${what} within ${timeoutMs / 1000} s`
      : `ended before it was ${what}`
    throw new Error(`${this.name} ${problem}:\n${this.tail()}`)
  }

  /** The end of what it printed. */
  tail(): string {
    return readFileSync(this.#logFile, 'utf8').split('\n').slice(-TAIL_LINES).join('\n')
  }

  /** Asks it to end, then makes it. */
  async stop(): Promise<void> {
    if (!this.running) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_GRACE_MS)
    await ended
    clearTimeout(timer)
  }

  /** For the case that there is no time left. */
  kill(): void {
    if (this.running) this.#child.kill('SIGKILL')
  }
}

/** With a mesh of 100,000 workloads on a slow machine. */
const READY_TIMEOUT_MS = 60_000
/** The start is itself measured. */
const RETRY_MS = 10
/** Its connections are gone by then; a drain would wait for its deadline. */
const STOP_GRACE_MS = 1_000
const TAIL_LINES = 15
