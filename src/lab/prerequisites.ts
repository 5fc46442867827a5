import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { LabError } from './errors.ts'

/** A system command that the lab needs, and the Debian package that brings it. */
export interface Tool {
  readonly command: string
  readonly debianPackage: string
  /** What the lab does with it. */
  readonly purpose: string
}

export interface PrerequisiteOptions {
  /** Told about each step that takes time. */
  readonly onProgress?: (message: string) => void
  /** Where commands are looked for; default is PATH and the system's sbin folders. */
  readonly searchPath?: readonly string[]
}

/** Everything that is not in Node and not in the npm packages. */
export const TOOLS: readonly Tool[] = [
  { command: 'ip', debianPackage: 'iproute2', purpose: 'network namespaces, links and routes' },
  { command: 'iptables', debianPackage: 'iptables', purpose: 'redirection into the proxy' },
  { command: 'unshare', debianPackage: 'util-linux', purpose: 'a private network for the lab' },
  { command: 'nsenter', debianPackage: 'util-linux', purpose: 'running commands inside the lab' },
  { command: 'mount', debianPackage: 'mount', purpose: 'a private /run for the lab' },
]

/** An ordinary user's PATH on Debian lacks these, yet `ip` and `iptables` work from there. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']

/** PATH with the system folders appended, so that child processes find what was found here. */
export function systemPath(path: string | undefined = process.env['PATH']): string {
  const folders = (path ?? '').split(delimiter).filter((folder) => folder !== '')
  return [...new Set([...folders, ...SYSTEM_FOLDERS])].join(delimiter)
}

/** The tools that are not installed. */
export function missingTools(searchPath: readonly string[] = systemPath().split(delimiter)): readonly Tool[] {
  return TOOLS.filter(({ command }) => !searchPath.some((folder) => isExecutable(join(folder, command))))
}

/**
 * Makes sure that the tools are there. As root on Debian and its kin, installs
 * what is missing; otherwise rejects with LabError `missing-tool`, which names
 * each and the one command to type.
 */
export async function ensurePrerequisites(options: PrerequisiteOptions = {}): Promise<void> {
  if (process.platform !== 'linux') {
    throw new LabError(
      'kernel-forbids',
      `the lab is made of Linux network namespaces and this is ${process.platform}: run it in a Linux machine or container`,
    )
  }
  const missing = missingTools(options.searchPath)
  if (missing.length === 0) return
  const packages = packagesOf(missing)
  const isRoot = process.getuid?.() === 0
  if (!isRoot || !hasCommand('apt-get')) throw missingToolError(missing, isRoot)
  options.onProgress?.(`installing ${packages.join(', ')} for ${namesOf(missing)}`)
  await installWithApt(packages)
  const still = missingTools(options.searchPath)
  if (still.length > 0) throw missingToolError(still, isRoot)
}

/** Whether a command can be found. */
export function hasCommand(command: string): boolean {
  return systemPath()
    .split(delimiter)
    .some((folder) => isExecutable(join(folder, command)))
}

/** Tries what the package lists know already, and refreshes them only if that fails: a second saved where it can be. */
async function installWithApt(packages: readonly string[]): Promise<void> {
  const install = ['install', '-y', '--no-install-recommends', ...packages]
  const command = `apt-get ${install.join(' ')}`
  const first = await aptGet(install)
  if (first.ok) return
  if (LOCKED.test(first.output)) {
    throw new LabError(
      'missing-tool',
      `\`${command}\` failed:\n${first.output.trim()}\nanother package manager is at work: try again when it is done`,
    )
  }
  const update = await aptGet(['update'])
  const second = await aptGet(install)
  if (second.ok) return
  throw new LabError(
    'missing-tool',
    `\`${command}\` failed${update.ok ? '' : ' and so did `apt-get update`'}:\n${second.output.trim()}\n` +
      'check the network and /etc/apt/sources.list, then type it by hand',
  )
}

function aptGet(argv: readonly string[]): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, PATH: systemPath(), DEBIAN_FRONTEND: 'noninteractive' }
    const child = spawn('apt-get', ['-qq', ...APT_PATIENCE, ...argv], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-OUTPUT_TAIL_CHARACTERS)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.on('error', (error) => resolve({ ok: false, output: error.message }))
    child.on('close', (code) => resolve({ ok: code === 0, output }))
  })
}

function missingToolError(missing: readonly Tool[], isRoot: boolean): LabError {
  const lines = missing.map(
    ({ command, purpose, debianPackage }) => `  ${command}  (${purpose}; package ${debianPackage})`,
  )
  const install = `${isRoot ? '' : 'sudo '}apt-get install -y ${packagesOf(missing).join(' ')}`
  const advice = hasCommand('apt-get')
    ? `type: ${install}`
    : `install them with this system's package manager; on Debian it is: ${install}`
  return new LabError(
    'missing-tool',
    `the lab needs commands that are not installed:\n${lines.join('\n')}\n${advice}`,
  )
}

function packagesOf(tools: readonly Tool[]): readonly string[] {
  return [...new Set(tools.map((tool) => tool.debianPackage))]
}

function namesOf(tools: readonly Tool[]): string {
  return tools.map((tool) => tool.command).join(', ')
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * A fresh machine updates itself for a minute after its start; apt-get itself
 * would give up at once. Of a network that swallows packets it would wait two
 * minutes for each address, several times.
 */
const APT_PATIENCE = [
  'DPkg::Lock::Timeout=60',
  'Acquire::Retries=1',
  'Acquire::http::Timeout=20',
  'Acquire::https::Timeout=20',
].flatMap((setting) => ['-o', setting])
const LOCKED = /could not get lock|unable to acquire the dpkg/i
/** Enough of apt's output to see the reason, never all of it. */
const OUTPUT_TAIL_CHARACTERS = 4000
