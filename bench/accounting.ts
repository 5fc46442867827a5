import { readFileSync, writeFileSync } from 'node:fs'
import type { NetworkNamespace } from '../src/linux/index.ts'

/** What the kernel has charged a process and its descendants with. */
export interface Usage {
  /** User and system time, seconds. */
  readonly cpuSeconds: number
  /** Resident now, bytes. */
  readonly residentBytes: number
  /** Of those, what belongs to no file: not the program's text, which all of its processes share. */
  readonly anonymousBytes: number
  /** Most that was ever resident since {@link resetPeak}, bytes. */
  readonly peakBytes: number
}

/** Clock ticks in a second: the unit of /proc/PID/stat, which is the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** Reads /proc; a descendant that ends meanwhile counts as nothing. Throws when the process itself is gone. */
export function usageOf(pid: number): Usage {
  return sum([own(pid), ...descendants(pid).map(ownOrNothing)])
}

/** Makes the peak start from what is resident now (proc(5), clear_refs). */
export function resetPeak(pid: number): void {
  for (const each of [pid, ...descendants(pid)]) {
    try {
      writeFileSync(`/proc/${each}/clear_refs`, '5')
    } catch {
      // Gone, or a kernel without it: the peak is then that of its life.
    }
  }
}

/** CPU seconds of user and system time in the text of /proc/PID/stat; with those of its ended children if told. */
export function cpuSecondsIn(stat: string, withChildren = false): number {
  // The name, in brackets, may hold spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = (withChildren ? [11, 12, 13, 14] : [11, 12]).map((index) => Number(fields[index]))
  return ticks.reduce((total, each) => total + each, 0) / TICKS_PER_SECOND
}

/** Bytes of a line of /proc/PID/status, e.g. `VmHWM`; 0 when it has none. */
export function statusBytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024
}

/** CPU seconds of this process, of all that it has started, and of what those have left behind. */
export function cpuOfThisTree(): number {
  const pids = [process.pid, ...descendants(process.pid)]
  return pids.reduce((total, pid) => {
    const stat = read(`/proc/${pid}/stat`)
    return stat === undefined ? total : total + cpuSecondsIn(stat, true)
  }, 0)
}

/**
 * CPU seconds that the machine's processors were not idle since its start, with
 * those that its host took from it. All that the kernel can charge a process
 * with is among them; what Node tells of processors leaves out soft interrupts,
 * which are much of a network's work.
 */
export function cpuOfMachine(): number {
  return busySecondsIn(readFileSync('/proc/stat', 'utf8'))
}

/** The same from the text of /proc/stat. */
export function busySecondsIn(stat: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (
    /^cpu +(.*)$/m.exec(stat)?.[1] ?? ''
  )
    .split(' ')
    .map(Number)
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
}

/** TCP connections that have been accepted in a network namespace since it was made. */
export function acceptedConnections(namespace: NetworkNamespace): number {
  return namespace.run(() => passiveOpens(readFileSync('/proc/thread-self/net/snmp', 'utf8')))
}

/** `PassiveOpens` in the text of /proc/net/snmp. */
export function passiveOpens(snmp: string): number {
  const [names = [], values = []] = snmp
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'))
    .map((line) => line.split(' '))
  return Number(values[names.indexOf('PassiveOpens')])
}

function own(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return {
    cpuSeconds: cpuSecondsIn(readFileSync(`/proc/${pid}/stat`, 'utf8')),
    residentBytes: statusBytes(status, 'VmRSS'),
    anonymousBytes: statusBytes(status, 'RssAnon'),
    peakBytes: statusBytes(status, 'VmHWM'),
  }
}

function ownOrNothing(pid: number): Usage {
  try {
    return own(pid)
  } catch {
    return { cpuSeconds: 0, residentBytes: 0, anonymousBytes: 0, peakBytes: 0 }
  }
}

function sum(usages: readonly Usage[]): Usage {
  const total = (pick: (usage: Usage) => number): number =>
    usages.reduce((all, usage) => all + pick(usage), 0)
  return {
    cpuSeconds: total(({ cpuSeconds }) => cpuSeconds),
    residentBytes: total(({ residentBytes }) => residentBytes),
    anonymousBytes: total(({ anonymousBytes }) => anonymousBytes),
    peakBytes: total(({ peakBytes }) => peakBytes),
  }
}

/** Children of any thread, and theirs. */
function descendants(pid: number): readonly number[] {
  const children = (read(`/proc/${pid}/task/${pid}/children`) ?? '')
    .split(' ')
    .filter((text) => text !== '')
    .map(Number)
  return children.flatMap((child) => [child, ...descendants(child)])
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
