// What `npm run check` runs, as part of the tests: no change lands with a type
// error, a lint error or an unformatted file.
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import t from 'tap'

const ROOT = resolve(import.meta.dirname, '..')

for (const [what, command, ...argv] of [
  ['types', 'tsc', '--noEmit'],
  ['format, lint and sorted imports', 'biome', 'check', '.'],
  ['the lock file knows every platform', 'node', 'scripts/complete-lockfile.ts', '--check'],
  ['the package builds', 'tsc', '-p', 'tsconfig.build.json', '--noEmit', 'true'],
] as const) {
  t.test(what, async (t) => {
    // The test runner's own loaders are not for these programs.
    const env = ['-u', 'NODE_OPTIONS', command, ...argv]
    const { status, stdout, stderr } = spawnSync('env', env, { cwd: ROOT, encoding: 'utf8' })
    t.equal(status, 0, `${stdout}${stderr}`.trim() || 'clean')
  })
}
