// Runs every test in a network and mount namespace of its own, as root and as
// an ordinary user alike, so that no test can touch the machine's network and
// none needs to be skipped for want of privileges.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const scratch = mkdtempSync(join(tmpdir(), 'ztunnel-test-'))
const report = join(scratch, 'report.tap')

const asRoot = process.getuid?.() === 0
const unshare = asRoot ? ['--net', '--mount'] : ['--user', '--map-root-user', '--net', '--mount']
// tmpfs over /run: /run/netns and xtables.lock are this run's own.
const prepare = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'
const patterns = process.argv.slice(2)
const files =
  patterns.length > 0 ? patterns : ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts']

const child = spawn(
  'unshare',
  [...unshare, 'sh', '-c', prepare, 'sh', 'tap', 'run', `--output-file=${report}`, ...files],
  { stdio: 'inherit', env: { ...process.env, ZTUNNEL_TEST_NAMESPACE: '1' } },
)

child.on('error', (error) => {
  process.stderr.write(`cannot run unshare (package util-linux): ${error.message}\n`)
  process.exitCode = 1
})

child.on('exit', (code, signal) => {
  const { passed, failed } = totals()
  rmSync(scratch, { recursive: true, force: true })
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  process.exitCode = code === 0 && signal === null && failed === 0 && passed > 0 ? 0 : 1
})

/** Assertions by outcome, from the report's closing line. */
function totals(): { passed: number; failed: number } {
  try {
    const summaries = [...readFileSync(report, 'utf8').matchAll(/^# \{ total: .*\}$/gm)]
    const last = summaries.at(-1)?.[0] ?? ''
    const count = (name: string): number => Number(new RegExp(`\\b${name}: (\\d+)`).exec(last)?.[1] ?? 0)
    return { passed: count('pass'), failed: count('fail') + count('skip') + count('todo') }
  } catch {
    return { passed: 0, failed: 1 }
  }
}
