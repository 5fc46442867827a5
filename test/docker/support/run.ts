// `npm run test:docker`: installs Docker Engine where there is none and builds the images, while there is still a network
// to fetch all that from, and then runs the tests, each with an engine of its own. Without it nothing can be said: a
// failure under CI=true, a notice elsewhere.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { buildImages } from './build-images.ts'
import { installCompose } from './compose.ts'
import { installEngine } from './install-engine.ts'

const ROOT = resolve(import.meta.dirname, '../../..')

const directory = mkdtempSync(join(tmpdir(), 'test-docker-'))

try {
  installEngine()
  // The user namespace of an ordinary user has nothing that an engine could start with.
  if (process.getuid?.() !== 0) throw new Error('they start Docker Engines of their own, which takes root')
  installCompose()
  const images = await buildImages(directory)
  const argv = process.argv.slice(2)
  const patterns = argv.length > 0 ? argv : ['test/docker/**/*.test.ts']
  const { status, error } = spawnSync(process.execPath, ['scripts/test.ts', ...patterns], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ZTUNNEL_TEST_IMAGES: images },
  })
  if (error !== undefined) throw error
  process.exitCode = status ?? 1
} catch (error) {
  const why = error instanceof Error ? error.message : String(error)
  process.stderr.write(`Docker tests not run: ${why}\n`)
  process.exitCode = process.env['CI'] === 'true' ? 1 : 0
} finally {
  rmSync(directory, { recursive: true, force: true })
}
