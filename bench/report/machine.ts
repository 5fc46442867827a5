import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'

/** Where and with what it was measured. */
export interface Machine {
  readonly processor: string
  readonly processors: number
  readonly memoryGb: number
  readonly kernel: string
  readonly node: string
  /** `+` after it: with changes that are in no commit. */
  readonly commit: string
  readonly date: string
  /** Of the minute before the start. */
  readonly load: number
}

export function thisMachine(): Machine {
  const [first, ...others] = cpus()
  return {
    processor: first?.model.trim() ?? 'unknown',
    processors: others.length + 1,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    commit: commit(),
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    load: loadavg()[0] ?? 0,
  }
}

/** One line. */
export function describeMachine({
  processor,
  processors,
  memoryGb,
  kernel,
  node,
  commit: id,
  date,
  load,
}: Machine): string {
  return `${date} UTC, commit ${id}; ${processors} × ${processor}, ${memoryGb} GB, Linux ${kernel}, Node ${node}; load before: ${load.toFixed(2)}`
}

function commit(): string {
  const git = (...argv: string[]): string =>
    execFileSync('git', ['-C', import.meta.dirname, ...argv], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  try {
    const changes = git('status', '--porcelain', '--untracked-files=no')
    return git('rev-parse', '--short=10', 'HEAD') + (changes === '' ? '' : '+')
  } catch {
    // A package rather than a checkout, or a folder that is another user's.
    return 'unknown'
  }
}
