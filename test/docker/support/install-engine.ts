import { spawnSync } from 'node:child_process'

/**
 * Installs Docker Engine where there is none, by Debian's packages, as root. Rejects where that cannot be; the message
 * says what to do.
 */
export function installEngine(): void {
  if (has('dockerd') && has('docker') && has('iptables')) return
  if (process.getuid?.() !== 0)
    throw new Error('there is no dockerd, and only root may install it: apt-get install docker.io')
  run('apt-get', 'update', '-qq')
  run('apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'docker.io', 'iptables')
}

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
