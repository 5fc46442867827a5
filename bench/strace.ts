import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemPath } from '../src/lab/prerequisites.ts'

/** System calls of one process, by strace. */
export interface Trace {
  /** Detaches; resolves with the table of `strace -c`, the rare calls left out. */
  stop(): Promise<string>
}

/** Attaches strace to a process and its threads. It slows the process several times over: counts are true, times are not. */
export async function trace(pid: number): Promise<Trace> {
  const folder = await mkdtemp(join(tmpdir(), 'ztunnel-strace-'))
  const file = join(folder, 'table')
  const child = spawn('strace', ['-c', '-f', '-S', 'calls', '-o', file, '-p', String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH: systemPath() },
  })
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (error) => reject(new Error(`cannot run strace (package strace): ${error.message}`)))
  })
  failed.catch(() => undefined)
  await Promise.race([once(child.stderr, 'data'), failed])
  return {
    async stop() {
      const ended = once(child, 'exit')
      child.kill('SIGINT')
      await ended
      const table = await readFile(file, 'utf8')
      await rm(folder, { recursive: true, force: true })
      return frequent(table)
    },
  }
}

/** Lines of a `strace -c` table with at least one in so many of all calls. */
export function frequent(table: string): string {
  const lines = table.trimEnd().split('\n')
  const calls = (line: string): number => Number(line.trim().split(/ +/)[3])
  const total = calls(lines.at(-1) ?? '')
  return lines.filter((line) => !(calls(line) < total / SHOWN_SHARE)).join('\n')
}

const SHOWN_SHARE = 200
