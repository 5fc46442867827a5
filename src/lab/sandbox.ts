import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { compileCache, ztunnelProgram } from './app.ts'
import { LabError } from './errors.ts'
import { systemPath } from './prerequisites.ts'

/** What the inner process is told, in its environment. */
export interface SandboxEnvironment {
  /** Folder that both know, made and removed by the outer process. */
  readonly folder: string
  /** Whether the inner process is the first of a process namespace, so that all others end with it. */
  readonly ownsProcesses: boolean
  /** Program of the Envoy for the sidecars' seats: inside there is no network to fetch it from. */
  readonly envoy?: string
}

export interface SandboxOptions {
  /** Arguments of `ztunnel lab`, handed on. */
  readonly argv: readonly string[]
  /** Default: none is told of. */
  readonly envoy?: string
}

/** Environment variable that tells the inner process from the outer one, and where its folder is. */
export const SANDBOX_VARIABLE = 'ZTUNNEL_LAB_SANDBOX'
/** Descriptor on which the inner process waits: its end means that the outer one is gone or wants to stop. */
export const LIFELINE_FD = 3

/**
 * Runs `ztunnel lab` again inside network, mount, process and, for an ordinary
 * user, user namespaces of its own, and returns its exit status. However this
 * process ends, the lab ends too:
 *
 * - asked to stop, or killed: the lifeline closes, the inner process tears down;
 * - the inner process is killed: the kernel ends everything in its process
 *   namespace, and the namespaces go with the last process in them;
 * - it hangs: `unshare` is killed, and the kernel kills its child.
 */
export async function runInSandbox({ argv, envoy }: SandboxOptions): Promise<number> {
  const flags = findFlags()
  const folder = await mkdtemp(join(tmpdir(), 'ztunnel-lab-'))
  try {
    const environment: SandboxEnvironment = {
      folder,
      ownsProcesses: flags.includes('--pid'),
      ...(envoy === undefined ? {} : { envoy }),
    }
    const child = spawn('unshare', [...flags, '--', process.execPath, ztunnelProgram(), 'lab', ...argv], {
      // A session of its own: Ctrl-C reaches this process only, which then asks for an orderly end.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
      env: {
        ...process.env,
        PATH: systemPath(),
        NODE_COMPILE_CACHE: compileCache(),
        [SANDBOX_VARIABLE]: JSON.stringify(environment),
      },
    })
    const lifeline = child.stdio[LIFELINE_FD] as Writable
    lifeline.on('error', () => undefined)
    const stop = stopper(lifeline, () => child.kill('SIGKILL'))
    for (const signal of STOP_SIGNALS) process.on(signal, stop)
    try {
      return await new Promise<number>((resolve, reject) => {
        child.once('error', reject)
        child.once('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : KILLED_STATUS))
      })
    } finally {
      for (const signal of STOP_SIGNALS) process.off(signal, stop)
      killGroup(child.pid)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What the outer process left in the environment; undefined in an outer process. */
export function sandboxEnvironment(): SandboxEnvironment | undefined {
  const text = process.env[SANDBOX_VARIABLE]
  return text === undefined ? undefined : (JSON.parse(text) as SandboxEnvironment)
}

/** First an orderly end; if that takes too long, or the user insists, the hard one. */
function stopper(lifeline: Writable, kill: () => void): () => void {
  let asked = false
  return () => {
    if (asked) return kill()
    asked = true
    lifeline.end()
    setTimeout(kill, STOP_TIMEOUT_MS).unref()
  }
}

/** What a lab without a process namespace may have left; all of it is in one process group. */
function killGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, 'SIGKILL')
  } catch {
    // ESRCH: nobody is left, as it should be.
  }
}

/**
 * The flags of `unshare` that this kernel grants, tried in a few milliseconds
 * each. A process namespace is a help, without the network there is no lab.
 */
function findFlags(): readonly string[] {
  const identity = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  const base = [...identity, '--net', '--mount']
  const variants = [
    [...base, '--pid', '--fork', '--kill-child'],
    [...base, '--fork', '--kill-child'],
  ]
  let said = ''
  for (const flags of variants) {
    const tried = spawnSync('unshare', [...flags, '--', 'true'], {
      env: { ...process.env, PATH: systemPath() },
      encoding: 'utf8',
      timeout: TRY_TIMEOUT_MS,
    })
    if (tried.status === 0) return flags
    said = (tried.stderr ?? '').trim() || (tried.error?.message ?? '')
  }
  throw forbidden(said, identity.length > 0)
}

function forbidden(said: string, ordinaryUser: boolean): LabError {
  const why = `this kernel does not let ${ordinaryUser ? 'an ordinary user' : 'root here'} make a network namespace (${said}).`
  if (!ordinaryUser) {
    return new LabError(
      'kernel-forbids',
      `${why}\nIn a container, give it the right: docker run --privileged …, or --cap-add SYS_ADMIN --cap-add NET_ADMIN ` +
        '--security-opt seccomp=unconfined --security-opt apparmor=unconfined',
    )
  }
  return new LabError('kernel-forbids', `${why}\n${userNamespaceAdvice().join('\n')}`)
}

/** Which switch forbids user namespaces, and what to type. */
export function userNamespaceAdvice(
  read: (path: string) => string | undefined = readSwitch,
): readonly string[] {
  const advice: string[] = []
  if (read('/proc/sys/kernel/unprivileged_userns_clone') === '0') {
    advice.push('kernel.unprivileged_userns_clone is 0; type: sudo sysctl kernel.unprivileged_userns_clone=1')
  }
  if (read('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1') {
    advice.push(
      'kernel.apparmor_restrict_unprivileged_userns is 1; type: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0',
    )
  }
  if (read('/proc/sys/user/max_user_namespaces') === '0') {
    advice.push('user.max_user_namespaces is 0; type: sudo sysctl user.max_user_namespaces=15000')
  }
  if (advice.length === 0) advice.push('No sysctl forbids it: a container or a security module does.')
  return [...advice, 'Or run it as root: sudo env "PATH=$PATH" npm run lab']
}

function readSwitch(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** An orderly end takes a second; after this it is forced. */
const STOP_TIMEOUT_MS = 6_000
const TRY_TIMEOUT_MS = 5_000
/** As a shell reports a process that was killed. */
const KILLED_STATUS = 137
