import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { spawnIn } from '../../../src/lab/command.ts'
import { connectIn } from '../../../src/lab/http-probe.ts'
import type { NetworkNamespace } from '../../../src/linux/index.ts'
import { requireEnvoy } from '../../../src/sidecar/envoy-program.ts'
import { ADMIN_PORT, type Json } from '../../../src/sidecar/index.ts'
import { until } from '../../support/until.ts'

export interface EnvoyOptions {
  readonly namespace: NetworkNamespace
  readonly config: Json
  /** Where its configuration is written. */
  readonly folder: string
  /** More of its command line, e.g. `['--component-log-level', 'http2:trace']`. */
  readonly argv?: readonly string[]
}

/** One Envoy with one worker thread, so that its pools are predictable. */
export class EnvoyProcess implements AsyncDisposable {
  /** Every line of both outputs, the access log among them. */
  readonly lines: string[] = []
  readonly #namespace: NetworkNamespace
  readonly #child: ChildProcess

  private constructor(namespace: NetworkNamespace, child: ChildProcess) {
    this.#namespace = namespace
    this.#child = child
    for (const output of [child.stdout, child.stderr]) if (output !== null) this.#collect(output)
  }

  /** Resolves when it is live; rejects with its last lines when it will not start. */
  static async start({ namespace, config, folder, argv = [] }: EnvoyOptions): Promise<EnvoyProcess> {
    const file = join(folder, `envoy-${process.pid}-${Math.random().toString(36).slice(2)}.json`)
    await writeFile(file, JSON.stringify(config))
    const flags = ['--concurrency', '1', '--disable-hot-restart', '-l', 'warning', ...ACCESS_LOG_FLUSH]
    const child = spawnIn(namespace, requireEnvoy(), ['-c', file, ...flags, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const envoy = new EnvoyProcess(namespace, child)
    try {
      await until(() => envoy.#isLive(), 'Envoy is live')
      return envoy
    } catch (error) {
      await envoy.stop()
      throw new Error(`Envoy does not start: ${envoy.lines.slice(-20).join('\n')}`, { cause: error })
    }
  }

  /** A question to its admin port; `POST` for what changes something. */
  async admin(path: string, method: 'GET' | 'POST' = 'GET'): Promise<string> {
    const createConnection = () => connectIn(this.#namespace, '127.0.0.1', ADMIN_PORT)
    const call = request({ host: '127.0.0.1', port: ADMIN_PORT, path, method, createConnection })
    call.end()
    const [response] = await once(call, 'response')
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  }

  /** A counter or gauge by its full name; 0 when Envoy does not know it. */
  async stat(name: string): Promise<number> {
    const text = await this.admin('/stats')
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}: `))
    return Number(line?.slice(name.length + 2) ?? 0)
  }

  /** Waits until a counter is at a value: what Envoy does for a connection goes on after the client has its end. */
  async counted(name: string, value: number): Promise<void> {
    let last = Number.NaN
    await until(async () => {
      last = await this.stat(name)
      return last === value
    }, `${name} is ${value}`).catch((error: unknown) => {
      throw new Error(`${name} stays at ${last}, not ${value}`, { cause: error })
    })
  }

  /** Waits for a line of its output that holds all the texts. */
  async line(...texts: readonly string[]): Promise<string> {
    const find = (): string | undefined =>
      this.lines.find((line) => texts.every((text) => line.includes(text)))
    await until(() => find() !== undefined, `a line of Envoy with ${texts.join(' and ')}`)
    return find() ?? ''
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#ended) return
    const exited = once(this.#child, 'exit')
    this.#child.kill(signal)
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_GRACE_MS)
    await exited
    clearTimeout(timer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  async #isLive(): Promise<boolean> {
    if (this.#ended) throw new Error('it ended')
    return (await this.admin('/ready').catch(() => '')).includes('LIVE')
  }

  #collect(output: Readable): void {
    createInterface(output).on('line', (line) => {
      this.lines.push(line)
      if (this.lines.length > MAX_LINES) this.lines.shift()
    })
  }
}

/** Its own is ten seconds. */
const ACCESS_LOG_FLUSH = ['--file-flush-interval-msec', '50']
const STOP_GRACE_MS = 3_000
const MAX_LINES = 10_000
