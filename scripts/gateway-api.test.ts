// docs/gateway-api.md names a test for every feature that it claims.
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'

const ROOT = resolve(import.meta.dirname, '..')
const rows = readFileSync(resolve(ROOT, 'docs/gateway-api.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| .* \| (yes|no) \| .* \|$/.test(line))
  .map((line) => ({
    line,
    claims: line.includes('| yes |'),
    tests: line.match(/`[\w/-]+\.test\.ts`/g) ?? [],
  }))

t.test('every feature that is claimed names a test', async (t) => {
  t.ok(rows.length > 40, `${rows.length} rows`)
  t.same(
    rows.filter(({ claims, tests }) => claims && tests.length === 0).map(({ line }) => line),
    [],
  )
})

t.test('every test that is named is there', async (t) => {
  for (const name of new Set(rows.flatMap(({ tests }) => tests))) {
    t.ok(existsSync(resolve(ROOT, name.slice(1, -1))), name)
  }
})
