import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { LinuxError } from './errors.ts'
import type { NetworkNamespace } from './netns.ts'

/** One program run. */
export interface ProgramOptions {
  readonly arguments: readonly string[]
  /** Written to its standard input, which is then closed. */
  readonly input?: string
  /** Exit statuses that are no failure; default only 0. */
  readonly accept?: readonly number[]
}

/** A rule listing of a pod is a few kilobytes; a node's with many services can reach megabytes. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024
/** The programs answer within milliseconds; iptables may wait some seconds for its lock. */
const TIMEOUT_MS = 15_000
/** Where administration programs live; not on an ordinary user's PATH. */
const ADMIN_PATHS = '/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin'

/** Which Debian package a program comes in. */
const PACKAGES: Readonly<Record<string, string>> = {
  iptables: 'iptables',
  ip6tables: 'iptables',
  'iptables-save': 'iptables',
  'iptables-restore': 'iptables',
  'ip6tables-save': 'iptables',
  'ip6tables-restore': 'iptables',
  'iptables-legacy-save': 'iptables',
  'iptables-legacy-restore': 'iptables',
  'iptables-nft-save': 'iptables',
  'iptables-nft-restore': 'iptables',
  ip: 'iproute2',
}

/** Where `runProgram` would find a program; undefined when it is not installed. */
export function findProgram(program: string): string | undefined {
  return searchPath()
    .split(':')
    .map((directory) => join(directory, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/**
 * Runs a program inside a network namespace and resolves to its standard output. The child is forked by this thread
 * while it is in the namespace and so starts there; no helper such as nsenter is needed. Rejects with LinuxError
 * `program-missing` (naming the package to install) or `program-failed`.
 */
export async function runProgram(
  namespace: NetworkNamespace,
  program: string,
  options: ProgramOptions,
): Promise<string> {
  const child = namespace.run(() =>
    spawn(program, [...options.arguments], {
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
      // LC_ALL: we read some of the output.
      env: { ...process.env, PATH: searchPath(), LC_ALL: 'C' },
    }),
  )
  return new Promise((resolve, reject) => {
    const output = collect(child)
    child.once('error', (cause) => reject(startError(program, cause)))
    child.once('close', (status, signal) => {
      const { stdout, stderr, overflow } = output()
      const accepted = status !== null && (options.accept ?? [0]).includes(status)
      if (accepted && !overflow) resolve(stdout)
      else reject(failure(program, options, { status, signal, stderr, overflow }))
    })
    // The program may end without reading it all; how it ended says more than EPIPE.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
  })
}

function searchPath(): string {
  return `${process.env['PATH'] ?? ''}:${ADMIN_PATHS}`
}

interface Ending {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stderr: string
  readonly overflow: boolean
}

function collect(child: ChildProcess): () => { stdout: string; stderr: string; overflow: boolean } {
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  let bytes = 0
  let overflow = false
  const take = (into: Buffer[]) => (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= MAX_OUTPUT_BYTES) into.push(chunk)
    else if (!overflow) {
      overflow = true
      child.kill('SIGKILL')
    }
  }
  child.stdout?.on('data', take(stdout))
  child.stderr?.on('data', take(stderr))
  return () => ({
    stdout: Buffer.concat(stdout).toString('utf8'),
    stderr: Buffer.concat(stderr).toString('utf8').trim(),
    overflow,
  })
}

function startError(program: string, cause: Error): LinuxError {
  // EACCES: not found either, but some folder of PATH may not be looked into.
  const missing = 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'EACCES')
  if (!missing)
    return new LinuxError('program-failed', `cannot start ${program}: ${cause.message}`, { cause })
  const name = PACKAGES[program]
  const install = name === undefined ? '' : `; on Debian or Ubuntu: apt-get install ${name}`
  return new LinuxError('program-missing', `${program} is not installed${install}`, {
    operation: program,
    cause,
  })
}

function failure(program: string, options: ProgramOptions, ending: Ending): LinuxError {
  const command = [program, ...options.arguments].join(' ')
  const how = ending.overflow
    ? `printed more than ${MAX_OUTPUT_BYTES} bytes`
    : ending.signal === null
      ? `exit status ${ending.status}`
      : `ended by ${ending.signal}, after at most ${TIMEOUT_MS / 1000} s`
  const said = ending.stderr === '' ? '' : `: ${ending.stderr}`
  return new LinuxError('program-failed', `${command}: ${how}${said}`, { operation: program })
}
