import { readdirSync, readFileSync } from 'node:fs'

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot, from /proc/PID/stat. */
  readonly startTime: string
}

interface Entry extends ProcessIdentity {
  readonly parent: number
  readonly state: string
}

/** A process and everything below it. */
export function processTree(root: number): readonly ProcessIdentity[] {
  const all = readdirSync('/proc').flatMap((name) =>
    /^\d+$/.test(name) ? (readEntry(Number(name)) ?? []) : [],
  )
  const found = all.filter(({ pid }) => pid === root)
  for (const entry of found) found.push(...all.filter(({ parent }) => parent === entry.pid))
  return found.map(({ pid, startTime }) => ({ pid, startTime }))
}

/** Those that still run. */
export function survivors(processes: readonly ProcessIdentity[]): readonly ProcessIdentity[] {
  return processes.filter(({ pid, startTime }) => {
    const entry = readEntry(pid)
    return entry !== undefined && entry.startTime === startTime && entry.state !== 'Z'
  })
}

/** proc(5): the name in parentheses may hold anything, so fields count from the last parenthesis. */
function readEntry(pid: number): Entry | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state = '', parent = '', ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { pid, parent: Number(parent), state, startTime: rest[17] ?? '' }
  } catch {
    return undefined
  }
}
