import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'

/**
 * Installs Docker Engine where there is none, by Debian's packages, as root. Rejects where that cannot be; the message
 * says what to do.
 */
export function installEngine(): void {
  installPrograms({ dockerd: 'docker.io', docker: 'docker.io', iptables: 'iptables', ip: 'iproute2' })
}

/** Installs the programs that are missing, each by the name of Debian's package. Throws what to do where that cannot be. */
export function installPrograms(packages: Readonly<Record<string, string>>): void {
  const missing = Object.entries(packages).filter(([program]) => !has(program))
  if (missing.length === 0) return
  const names = [...new Set(missing.map(([, name]) => name))]
  if (process.getuid?.() !== 0) {
    const command = `apt-get install ${names.join(' ')}`
    throw new Error(`there is no ${missing[0]?.[0]}, and only root may install it: ${command}`)
  }
  run('apt-get', 'update', '-qq')
  install(names)
  // Since Debian 13 the client is a package of its own, which the engine's only recommends.
  if ('docker' in packages && !has('docker')) install(['docker-cli'])
}

/** Debian's package would start an engine of the machine's; the tests' are their own. */
function install(names: readonly string[]): void {
  const added = denyServices()
  try {
    run('apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...names)
  } finally {
    if (added) rmSync(SERVICE_POLICY)
  }
}

/** False where somebody has a policy already. */
function denyServices(): boolean {
  try {
    writeFileSync(SERVICE_POLICY, '#!/bin/sh\nexit 101\n', { flag: 'wx', mode: 0o755 })
    return true
  } catch {
    return false
  }
}

/** Asked by Debian's packages before they start a service. */
const SERVICE_POLICY = '/usr/sbin/policy-rc.d'

function has(program: string): boolean {
  return spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${program}`]).status === 0
}

function run(program: string, ...args: readonly string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const { status, error } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], env })
  if (error !== undefined || status !== 0) {
    throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? `exit status ${status}`}`)
  }
}
