import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { spawnIn } from '../src/lab/command.ts'
import type { NetworkNamespace } from '../src/linux/index.ts'

/**
 * Runs the benchmark again in namespaces of its own, as the tests do: nothing
 * here touches the machine's network. True in the run that is inside.
 */
export function enterNamespace(): boolean {
  if (process.env['ZTUNNEL_BENCH_NAMESPACE'] !== undefined) return true
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  const prepare = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const child = spawn('unshare', [...user, '--net', '--mount', 'sh', '-c', prepare, 'sh', ...again], {
    stdio: 'inherit',
    env: {
      ...process.env,
      PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`,
      ZTUNNEL_BENCH_NAMESPACE: '1',
    },
  })
  child.on('exit', (code) => {
    process.exitCode = code ?? 1
  })
  return false
}

/** Starts a program of `load/` in a namespace; resolves with its first line, which says that it is up. */
export async function startProgram(
  namespace: NetworkNamespace,
  program: string,
  argv: readonly string[],
): Promise<ChildProcess> {
  const path = new URL(`./load/${program}`, import.meta.url).pathname
  const child = spawnIn(namespace, process.execPath, [path, ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (child.stdout === null) throw new Error(`${program} has no output`)
  const ended = once(child, 'exit').then(() => {
    throw new Error(`${program} ended before it was up`)
  })
  await Promise.race([once(createInterface(child.stdout), 'line'), ended])
  ended.catch(() => undefined)
  return child
}
