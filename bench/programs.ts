import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { systemPath } from '../src/lab/prerequisites.ts'

/** A program and what it wants in its environment. */
export interface Program {
  readonly path: string
  readonly env: Readonly<Record<string, string>>
}

/** Debian packages by the program that is wanted: its own and the libraries that are not on every machine. */
const PACKAGES = {
  haproxy: ['haproxy', 'liblua5.3-0', 'libopentracing-c-wrapper0', 'libopentracing1'],
  wrk: ['wrk', 'libluajit-5.1-2', 'libluajit-5.1-common'],
} as const

/**
 * A program of Debian: installed, or unpacked in a cache outside of the
 * repository by `apt-get download`, which needs no privileges. Rejects with
 * what to do when it cannot be had.
 */
export async function findOrUnpack(name: keyof typeof PACKAGES): Promise<Program> {
  const installed = systemPath()
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
  if (installed !== undefined) return { path: installed, env: {} }
  const folder = join(cacheFolder(), name)
  if (!existsSync(folder)) await unpack(PACKAGES[name], folder, name)
  const program = unpacked(folder, name)
  await run(program.path, ['-v'], { env: { ...process.env, ...program.env } }).catch(
    async (error: { code?: unknown }) => {
      // wrk ends with 1 after it has printed its version; 127 is the loader's: a library is missing.
      if (error.code === 1) return
      // The next run shall fetch it anew.
      await rm(folder, { recursive: true, force: true })
      throw cannotBeHad(name, error)
    },
  )
  return program
}

async function unpack(packages: readonly string[], folder: string, name: string): Promise<void> {
  // Beside its place, so that it gets there whole or not at all.
  const staging = await mkdtemp(join(cacheFolder(), '.unpack-'))
  try {
    const [first = name, ...libraries] = packages
    await run('apt-get', ['-qq', 'download', first], { cwd: staging, timeout: DOWNLOAD_TIMEOUT_MS })
    // Names of libraries differ between releases; what is really missing shows when the program is run.
    for (const library of libraries) {
      await run('apt-get', ['-qq', 'download', library], {
        cwd: staging,
        timeout: DOWNLOAD_TIMEOUT_MS,
      }).catch(() => undefined)
    }
    const root = join(staging, 'root')
    for (const file of readdirSync(staging).filter((entry) => entry.endsWith('.deb'))) {
      await run('dpkg', ['-x', join(staging, file), root])
    }
    await rename(root, folder)
  } catch (error) {
    throw cannotBeHad(name, error)
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

function unpacked(folder: string, name: string): Program {
  const path = ['usr/sbin', 'usr/bin'].map((bin) => join(folder, bin, name)).find((file) => existsSync(file))
  if (path === undefined) throw cannotBeHad(name, new Error(`it is not in ${folder}`))
  const library = join(folder, 'usr', 'lib')
  const triplets = existsSync(library)
    ? readdirSync(library).filter((entry) => entry.endsWith('-linux-gnu'))
    : []
  return { path, env: { LD_LIBRARY_PATH: triplets.map((triplet) => join(library, triplet)).join(delimiter) } }
}

/** The first that can be written and is this user's own: below /tmp anybody can make a folder and put a program into it. */
function cacheFolder(): string {
  const uid = process.getuid?.() ?? 0
  for (const folder of [join(homedir(), '.cache', 'ztunnel-node'), join(tmpdir(), `ztunnel-node-${uid}`)]) {
    try {
      mkdirSync(folder, { recursive: true })
      accessSync(folder, constants.W_OK)
      if (statSync(folder).uid === uid) return folder
    } catch {
      // The next one.
    }
  }
  throw new Error(`neither ${homedir()} nor ${tmpdir()} can be written`)
}

function cannotBeHad(name: string, cause: unknown): Error {
  const said = cause instanceof Error ? cause.message.trim() : String(cause)
  return new Error(
    `${name} is not installed and cannot be fetched; as root: apt-get install ${name}. ${said}`,
    { cause },
  )
}

const run = promisify(execFile)
const DOWNLOAD_TIMEOUT_MS = 60_000
