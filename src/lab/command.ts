import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import type { NetworkNamespace } from '../linux/index.ts'
import { LabError } from './errors.ts'
import { systemPath } from './prerequisites.ts'

export interface CommandOptions {
  /** Default: the caller's network. */
  readonly namespace?: NetworkNamespace
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
  /** Resolve with the output whatever the exit status is. Default false. */
  readonly allowFailure?: boolean
  /** Default 20 s: `ip` and `iptables` are instant, a client program is not. */
  readonly timeoutMs?: number
}

/**
 * Runs a command to its end and returns its standard output. Rejects with
 * LabError `command-failed`, which carries the command and what it said.
 */
export function runCommand(
  command: string,
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawnIn(options.namespace, command, argv, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: options.env ?? process.env,
    })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
    const patience = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    const timer = setTimeout(() => child.kill('SIGKILL'), patience)
    const finish = (why: string | undefined): void => {
      clearTimeout(timer)
      const [output, errors] = [Buffer.concat(out).toString(), Buffer.concat(err).toString()]
      if (why === undefined || options.allowFailure === true) resolve(output)
      else reject(failure([command, ...argv], why, errors.trim() || output.trim()))
    }
    child.once('error', (error) => finish(error.message))
    child.once('close', (code, signal) => {
      if (signal !== null) finish(`ended by ${signal} (bound: ${patience} ms)`)
      else finish(code === 0 ? undefined : `exit status ${code}`)
    })
    // A command that ends without reading its input is not an error of ours.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
  })
}

/** Starts a process whose network is `namespace`: it is created by this thread while that is inside. */
export function spawnIn(
  namespace: NetworkNamespace | undefined,
  command: string,
  argv: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const env = { ...(options.env ?? process.env), PATH: systemPath() }
  const start = (): { child: ChildProcess } => ({ child: spawn(command, [...argv], { ...options, env }) })
  return (namespace === undefined ? start() : namespace.run(start)).child
}

function failure(argv: readonly string[], why: string, said: string): LabError {
  return new LabError('command-failed', `${argv.join(' ')}: ${why}${said === '' ? '' : `: ${said}`}`)
}

const DEFAULT_TIMEOUT_MS = 20_000
