import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fingerprintOf, type KnownFile, readIfChanged } from './known-file.ts'
import type { FileProblem } from './problem.ts'

/** Deeper folders are refused; guards against a loop of mounts. */
const MAX_DEPTH = 32

/** One of the folders that a mesh is read from, and the files that were found in it. */
export class FolderRoot {
  readonly directory: string
  readonly #base: string
  #files = new Map<string, KnownFile>()
  #listed = false
  #problem: FileProblem | undefined

  /** Files are named as paths from `base`: the folder itself, or empty to name them with the folder. */
  constructor(directory: string, base: string) {
    this.directory = directory
    this.#base = base
  }

  /** In order of name. */
  get files(): readonly KnownFile[] {
    return [...this.#files.values()]
  }

  /** Why the folder cannot be listed at present. What was found before stays. */
  get problem(): FileProblem | undefined {
    return this.#problem
  }

  /**
   * Looks at every file and reads those that changed. True when anything is
   * other than before. Fails if the folder never could be listed: later, one
   * that is gone for a moment does not mean that its files are.
   */
  async scan(): Promise<boolean> {
    const found = await this.#list().catch((cause: unknown) => {
      if (this.#listed) return problemOf(this.directory, cause)
      throw cause
    })
    if (!Array.isArray(found)) {
      const before = this.#problem?.message
      this.#problem = found
      return before !== found.message
    }
    let changed = !this.#listed || this.#problem !== undefined || this.#files.size !== found.length
    const next = new Map<string, KnownFile>()
    for (const file of found) {
      const known = this.#files.get(file)
      const read = await readIfChanged(this.#base, file, known)
      if (read !== known) changed = true
      if (read !== undefined) next.set(file, read)
    }
    this.#files = next
    this.#listed = true
    this.#problem = undefined
    return changed
  }

  /** Whether `scan` may find something else than it last did. Reads no file. */
  async differs(): Promise<boolean> {
    const found = await this.#list().catch((cause: unknown) => problemOf(this.directory, cause))
    if (!Array.isArray(found)) return found.message !== this.#problem?.message
    if (this.#problem !== undefined || found.length !== this.#files.size) return true
    for (const file of found) {
      const stats = await stat(join(this.#base, file), { bigint: true }).catch(() => undefined)
      if (stats === undefined || this.#files.get(file)?.fingerprint !== fingerprintOf(stats)) return true
    }
    return false
  }

  async #list(): Promise<string[]> {
    const names = await listFiles(this.directory)
    return this.#base === '' ? names.map((name) => join(this.directory, name)) : names
  }
}

/** In order of name. Hidden entries are skipped: editors' swap files, and the `..data` folders that mounted ConfigMaps are made of. */
async function listFiles(directory: string, depth = 0): Promise<string[]> {
  if (depth > MAX_DEPTH) throw new Error(`${directory}: more than ${MAX_DEPTH} folders deep`)
  const found: string[] = []
  for (const entry of await entriesOf(directory, depth)) {
    if (entry.name.startsWith('.')) continue
    const path = join(directory, entry.name)
    if (entry.isDirectory()) {
      for (const inner of await listFiles(path, depth + 1)) found.push(join(entry.name, inner))
    } else if (isYaml(entry) || (await isLinkToFolder(entry, path))) found.push(entry.name)
  }
  return found.sort()
}

/** A folder within that was deleted while we looked has no files any more. */
async function entriesOf(directory: string, depth: number): Promise<readonly Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true })
  } catch (cause) {
    if (depth > 0 && cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return []
    throw cause
  }
}

/** The names that kubectl reads; JSON is YAML. */
function isYaml(entry: Dirent): boolean {
  return (entry.isFile() || entry.isSymbolicLink()) && /\.(ya?ml|json)$/i.test(entry.name)
}

/** Listed so that it is reported: what lies behind would else be missing in silence. */
async function isLinkToFolder(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return false
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false
}

function problemOf(directory: string, cause: unknown): FileProblem {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const message = `the folder cannot be listed: ${reason}; what was read from it stays in force`
  return { severity: 'error', file: directory, line: undefined, column: undefined, field: '', message }
}
