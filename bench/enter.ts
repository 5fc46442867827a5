import { spawn, spawnSync } from 'node:child_process'
import { systemPath } from '../src/lab/prerequisites.ts'
import { userNamespaceAdvice } from '../src/lab/sandbox.ts'

/** Set in the process that is inside, to what the outer one has found out. */
const VARIABLE = 'ZTUNNEL_BENCH_INSIDE'

/** What the outer process left for this one; undefined in the outer one. */
export function insideWith(): string | undefined {
  return process.env[VARIABLE]
}

/**
 * Runs this program again in network and mount namespaces of its own (for an
 * ordinary user, in a user namespace as well), with as many descriptors as it
 * may have, so that nothing touches the machine's network. Resolves with the
 * exit status when everything that it started has ended.
 */
export async function runInside(message: string): Promise<number> {
  const asRoot = process.getuid?.() === 0
  const flags = asRoot ? ['--net', '--mount'] : ['--user', '--map-root-user', '--net', '--mount']
  const tried = spawnSync('unshare', [...flags, 'true'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: systemPath() },
  })
  if (tried.status !== 0) throw forbidden(tried.error?.message ?? tried.stderr.trim())
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const child = spawn('unshare', [...flags, 'sh', '-c', PREPARE, 'sh', ...again], {
    // A group of its own: Ctrl-C reaches this process only, which then asks for an orderly end.
    detached: true,
    stdio: 'inherit',
    env: { ...process.env, PATH: systemPath(), [VARIABLE]: message },
  })
  const stop = (): void => void child.kill('SIGTERM')
  for (const signal of STOP_SIGNALS) process.on(signal, stop)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', (error) =>
        reject(new Error(`cannot run unshare (package util-linux): ${error.message}`)),
      )
      child.once('exit', (code, signal) => {
        resolve(signal === null ? (code ?? 1) : 1)
      })
    })
  } finally {
    for (const signal of STOP_SIGNALS) process.off(signal, stop)
    endGroup(child.pid)
  }
}

function forbidden(said: string): Error {
  const advice = process.getuid?.() === 0 ? [] : userNamespaceAdvice()
  return new Error([`this kernel does not let a network namespace be made (${said})`, ...advice].join('\n'))
}

/** What an inner process that was killed may have left: all of it is in one group. */
function endGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, 'SIGKILL')
  } catch {
    // ESRCH: nobody is left, as it should be.
  }
}

/** tmpfs over /run: /run/netns and xtables.lock are this run's own. Root may have more descriptors than it was given. */
const PREPARE = [
  'mount -t tmpfs tmpfs /run && ip link set lo up || exit 1',
  'ulimit -H -n 200000 2>/dev/null; ulimit -S -n $(ulimit -H -n)',
  'exec "$@"',
].join('; ')
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
