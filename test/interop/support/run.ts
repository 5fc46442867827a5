// `npm run test:interop`: installs the other mesh's proxy, while there is still
// a network to fetch it from, and then runs the tests in namespaces of their
// own. Without it nothing can be said: a failure under CI=true, a notice elsewhere.
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { ENVOY_VERSION, PROGRAM_VARIABLE } from '../../../src/sidecar/envoy-program.ts'
import { installEnvoy } from '../../../src/sidecar/install-envoy.ts'

const ROOT = resolve(import.meta.dirname, '../../..')

try {
  const program = await installEnvoy()
  process.stdout.write(`Envoy ${ENVOY_VERSION}: ${program}\n`)
  const argv = process.argv.slice(2)
  const patterns = argv.length > 0 ? argv : ['test/interop/**/*.test.ts']
  const { status, error } = spawnSync(process.execPath, ['scripts/test.ts', ...patterns], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, [PROGRAM_VARIABLE]: program },
  })
  if (error !== undefined) throw error
  process.exitCode = status ?? 1
} catch (error) {
  const why = error instanceof Error ? error.message : String(error)
  process.stderr.write(`interop tests not run: Envoy ${ENVOY_VERSION} cannot be had. ${why}\n`)
  process.exitCode = process.env['CI'] === 'true' ? 1 : 0
}
