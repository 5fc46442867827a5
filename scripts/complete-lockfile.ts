// Adds the packages of other platforms that npm left out of package-lock.json.
// npm locks optional packages only where it could look them up; `npm ci` then
// refuses the lock file. Run after each change of dependencies:
//
//   node scripts/complete-lockfile.ts [--check]
//
// With --check nothing is written; the exit status is 1 when one is missing.
import { readFileSync, writeFileSync } from 'node:fs'

interface LockedPackage {
  readonly version?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
}

const FILE = new URL('../package-lock.json', import.meta.url)
const EXACT_VERSION = /^\d+\.\d+\.\d+$/
const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'sunos', 'win32']

const lock: { packages: Record<string, LockedPackage> } = JSON.parse(readFileSync(FILE, 'utf8'))
const missing = new Map<string, LockedPackage>()
for (const owner of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(owner.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`
    if (path in lock.packages || !EXACT_VERSION.test(version)) continue
    missing.set(path, {
      version,
      ...platform(name),
      ...(owner.dev === true ? { dev: true } : {}),
      optional: true,
    })
  }
}

if (missing.size === 0) process.stdout.write('package-lock.json is complete\n')
else if (process.argv.includes('--check')) {
  process.stdout.write(
    `package-lock.json lacks ${[...missing.keys()].join(', ')}: see scripts/complete-lockfile.ts\n`,
  )
  process.exitCode = 1
} else {
  const packages = { ...lock.packages, ...Object.fromEntries(missing) }
  const sorted = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(FILE, `${JSON.stringify({ ...lock, packages: sorted }, undefined, 2)}\n`)
  process.stdout.write(`added ${[...missing.keys()].join(', ')}\n`)
}

/** What the name says of the platform: `…-linux-arm64`, `…-linux-x64-musl`. */
function platform(name: string): { os?: readonly string[]; cpu?: readonly string[] } {
  const words = name.split(/[-/]/)
  const os = words.find((word) => SYSTEMS.includes(word))
  const cpu = os === undefined ? undefined : words[words.indexOf(os) + 1]
  return { ...(os === undefined ? {} : { os: [os] }), ...(cpu === undefined ? {} : { cpu: [cpu] }) }
}
