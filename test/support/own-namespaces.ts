// Import this first in a test that builds a lab: the test file is then run
// again in network, mount and process namespaces of its own, so that several
// such files can run at once (the names of a lab's namespaces are fixed), each
// works when started by hand, and nothing survives it.
import { spawnSync } from 'node:child_process'

const VARIABLE = 'ZTUNNEL_TEST_OWN_NAMESPACES'

if (process.env[VARIABLE] === undefined) {
  const identity = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  const flags = [...identity, '--net', '--mount', '--pid', '--fork', '--kill-child']
  // Without the test runner's loaders: every process of a lab would load them too.
  const prepare = 'unset NODE_OPTIONS; mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'
  const again = ['sh', '-c', prepare, 'sh', process.execPath, ...process.argv.slice(1)]
  const { status, error } = spawnSync('unshare', [...flags, '--', ...again], {
    stdio: 'inherit',
    env: { ...process.env, [VARIABLE]: '1' },
  })
  if (error !== undefined) process.stderr.write(`cannot run unshare (package util-linux): ${error.message}\n`)
  process.exit(status ?? 1)
}
