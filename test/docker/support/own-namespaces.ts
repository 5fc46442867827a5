// Import this first in a test that starts a Docker Engine: the test file is then run again in network, mount and process
// namespaces of its own. The engine's bridges and rules are nobody else's then, and nothing survives the test.
import { spawnSync } from 'node:child_process'

const VARIABLE = 'ZTUNNEL_TEST_OWN_ENGINE'

if (process.env[VARIABLE] === undefined) {
  const flags = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  // Not by exec: the shell stays the namespace's first process and buries what a killed engine leaves behind. The next
  // engine takes a dead containerd that nobody buried for one that is alive.
  const prepare = 'unset NODE_OPTIONS; mount -t tmpfs tmpfs /run && ip link set lo up && "$@"'
  const again = ['sh', '-c', prepare, 'sh', process.execPath, ...process.argv.slice(1)]
  // When the runner kills this process, which hears nothing meanwhile, the rest goes with it.
  const unshare = ['--pdeathsig', 'KILL', '--', 'unshare', ...flags]
  const { status, error } = spawnSync('setpriv', [...unshare, '--', ...again], {
    stdio: 'inherit',
    env: { ...process.env, [VARIABLE]: '1' },
  })
  if (error !== undefined) process.stderr.write(`cannot run setpriv (package util-linux): ${error.message}\n`)
  process.exit(status ?? 1)
}
