import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { appProgram } from './app.ts'
import type { ClientReport, ClientRequest } from './client.ts'
import { runCommand } from './command.ts'
import { LabError } from './errors.ts'
import { PROCESS_TITLE } from './inside.ts'
import { NETNS_FOLDER } from './network.ts'
import { systemPath } from './prerequisites.ts'

/** A lab that runs on this machine, seen from outside. */
export interface RunningLab {
  readonly pid: number
  readonly uid: number
}

/** The labs that the caller may enter, the youngest first. */
export function findLabs(): readonly RunningLab[] {
  const me = process.getuid?.() ?? 0
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .flatMap((pid) => {
      const uid = labOwner(pid)
      return uid !== undefined && (uid === me || me === 0) ? [{ pid, uid }] : []
    })
    .sort((a, b) => b.pid - a.pid)
}

/** Runs a command in a pod, a node or a host of the running lab; returns its exit status. */
export async function execInLab(place: string, command: readonly string[]): Promise<number> {
  // Entering a mount namespace forgets the folder that the user is in.
  return runInteractive(
    'nsenter',
    insideOf(onlyLab(), place, ['env', `--chdir=${process.cwd()}`, ...command]),
  )
}

/** One GET from a pod, for who has no curl. Returns the body; rejects when there is none. */
export async function getInLab(place: string, url: string): Promise<string> {
  const { protocol, hostname, port, pathname, search } = new URL(url)
  if (protocol !== 'http:') {
    throw new LabError('command-failed', `${url}: the lab's servers speak http:// only`)
  }
  const request: ClientRequest = {
    kind: 'http',
    host: hostname,
    port: port === '' ? 80 : Number(port),
    path: `${pathname}${search}`,
    marker: 'by-hand',
  }
  const client = [process.execPath, appProgram('client'), JSON.stringify(request)]
  const report = JSON.parse(await runCommand('nsenter', insideOf(onlyLab(), place, client))) as ClientReport
  if (!report.ok) throw new LabError('command-failed', `${place} → ${url}: ${report.error}`)
  return report.body ?? ''
}

/** Arguments of `nsenter` for a command in one place of a lab: its mount namespace first, where the place has a name. */
function insideOf(lab: RunningLab, place: string, command: readonly string[]): readonly string[] {
  return [...enterArguments(lab), 'nsenter', `--net=${netnsPath(lab, place)}`, '--', ...command]
}

/** The words before a command that runs it inside a lab's namespaces. */
export function enterArguments(lab: RunningLab): readonly string[] {
  // Root needs none of a user's credentials to enter a user's lab.
  const credentials = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials']
  const processes = hasOwnProcesses(lab) ? ['--pid'] : []
  return ['--target', String(lab.pid), ...credentials, '--mount', '--net', ...processes, '--']
}

function onlyLab(): RunningLab {
  const [lab] = findLabs()
  if (lab === undefined)
    throw new LabError('no-running-lab', 'no lab of yours is running; start one: npm run lab')
  return lab
}

function labOwner(pid: number): number | undefined {
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(`${PROCESS_TITLE} `)) return undefined
    return statSync(`/proc/${pid}`).uid
  } catch {
    // It ended meanwhile.
    return undefined
  }
}

function hasOwnProcesses({ pid }: RunningLab): boolean {
  return statSync(`/proc/${pid}/ns/pid`).ino !== statSync('/proc/self/ns/pid').ino
}

function netnsPath({ pid }: RunningLab, place: string): string {
  const name = place.replace('/', '.')
  const folder = `/proc/${pid}/root${NETNS_FOLDER}`
  if (/^[\w.-]+$/.test(name) && existsSync(`${folder}/${name}`)) return `${NETNS_FOLDER}/${name}`
  const known = readdirSync(folder).map((entry) => entry.replace('.', '/'))
  throw new LabError('unknown-namespace', `the lab has no ${place}; it has ${known.sort().join(', ')}`)
}

function runInteractive(command: string, argv: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...argv], {
      stdio: 'inherit',
      env: { ...process.env, PATH: systemPath() },
    })
    // Ctrl-C is for the command; this process waits for what it makes of it.
    const ignore = (): void => undefined
    process.on('SIGINT', ignore)
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      process.off('SIGINT', ignore)
      resolve(signal === null ? (code ?? 1) : 1)
    })
  })
}
