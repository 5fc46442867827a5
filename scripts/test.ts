// Runs every test in a network and mount namespace of its own, as root and as
// an ordinary user alike, so that no test can touch the machine's network and
// none needs to be skipped for want of privileges. Prints a line for each
// file, the details of what failed, and as the last line the totals.
//
//   node scripts/test.ts [file or glob …]
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const asRoot = process.getuid?.() === 0
const unshare = asRoot ? ['--net', '--mount'] : ['--user', '--map-root-user', '--net', '--mount']
// tmpfs over /run: /run/netns and xtables.lock are this run's own.
const prepare = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'
const patterns = process.argv.slice(2)
const files =
  patterns.length > 0
    ? patterns
    : ['src/**/*.test.ts', 'test/integration/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts']

// Whatever a test leaves behind goes when the run is over. A short name: paths of Unix sockets are short.
const temporary = mkdtempSync(join(tmpdir(), 'zt-'))

const child = spawn(
  'unshare',
  [...unshare, 'sh', '-c', prepare, 'sh', 'tap', 'run', '--reporter=tap', ...files],
  {
    stdio: ['inherit', 'pipe', 'inherit'],
    env: {
      ...process.env,
      TMPDIR: temporary,
      // Where ip and iptables live is not on an ordinary user's PATH.
      PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`,
    },
  },
)

/** Of one file: enough for every failure that a person would read. */
const MAX_DETAIL_LINES = 2000

let passed = 0
let failed = 0
/** What the file under way has printed, kept for the case that it fails. */
let details: string[] = []
/** Whether what comes now says why the last file failed: of its end and its exit status nothing was printed before. */
let explaining = false

createInterface(child.stdout).on('line', (line) => {
  const [, indent = '', not, directive = ''] = /^( *)(not )?ok \d+.*?(# (?:SKIP|TODO).*)?$/i.exec(line) ?? []
  const isResult = /^ *(not )?ok \d/.test(line)
  if (isResult && indent !== '' && !isSubtest(line)) {
    if (not !== undefined || directive !== '') failed++
    else passed++
  }
  if (explaining && /^ {2}/.test(line)) {
    process.stdout.write(`${line}\n`)
    return
  }
  explaining = false
  if (!isResult || indent !== '') {
    if (details.length < MAX_DETAIL_LINES) details.push(line)
    return
  }
  if (not !== undefined) {
    // A file that broke down may have failed no assertion of its own.
    failed++
    process.stdout.write(`${details.join('\n')}\n`)
  }
  process.stdout.write(`${line}\n`)
  explaining = not !== undefined
  details = []
})

child.on('error', (error) => {
  process.stderr.write(`cannot run unshare (package util-linux): ${error.message}\n`)
  failed++
})

child.on('close', (code, signal) => {
  if ((code !== 0 || signal !== null) && failed === 0) failed++
  process.stdout.write(`${details.filter((line) => !line.startsWith('#')).join('\n')}\n`.trimStart())
  rmSync(temporary, { recursive: true, force: true })
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1
})

/** A subtest's closing line carries its duration; an assertion's does not. */
function isSubtest(line: string): boolean {
  return / # time=[\d.]+ms$/.test(line)
}
