// `npm run test:docker`: installs Docker Engine where there is none, while there is still a network to fetch it from, and
// then runs the tests, each with an engine of its own. Without it nothing can be said: a failure under CI=true, a notice
// elsewhere.
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { installEngine } from './install-engine.ts'

const ROOT = resolve(import.meta.dirname, '../../..')

try {
  installEngine()
  const argv = process.argv.slice(2)
  const patterns = argv.length > 0 ? argv : ['test/docker/**/*.test.ts']
  const { status, error } = spawnSync(process.execPath, ['scripts/test.ts', ...patterns], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  if (error !== undefined) throw error
  process.exitCode = status ?? 1
} catch (error) {
  const why = error instanceof Error ? error.message : String(error)
  process.stderr.write(`Docker tests not run: ${why}\n`)
  process.exitCode = process.env['CI'] === 'true' ? 1 : 0
}
