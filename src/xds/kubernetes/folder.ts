import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { collectObjects, objectKey } from './collect-objects.ts'
import { fingerprintOf, type KnownFile, readIfChanged } from './known-file.ts'
import type { KubernetesObject, KubernetesObjects, OtherObject } from './objects.ts'
import type { ParsedObject } from './parse.ts'
import type { FileProblem } from './problem.ts'

/** What a folder says at one moment. */
export interface FolderSnapshot {
  readonly objects: KubernetesObjects
  /** What else the files name, in order of file. */
  readonly others: readonly OtherObject[]
  /** All of them, errors and warnings, in order of file and line. */
  readonly problems: readonly FileProblem[]
  readonly files: readonly FileState[]
  /**
   * False while something in the folder has never been read well: the objects
   * then are not all that its author meant to be in force.
   */
  readonly complete: boolean
  /** Where an object of this snapshot stands. */
  locate(object: KubernetesObject): ObjectPlace | undefined
}

export interface ObjectPlace {
  /** Relative to the folder. */
  readonly file: string
  readonly line: number
  readonly column: number
}

export interface FileState {
  /** Relative to the folder. */
  readonly file: string
  /** `stale`: has errors, and its last good content is in force. `refused`: has errors and never was good. */
  readonly state: 'current' | 'stale' | 'refused'
  readonly objects: number
}

/** Deeper folders are refused; guards against a loop of mounts. */
const MAX_DEPTH = 32

/** Reads a folder once. Fails only if the folder itself cannot be listed. */
export async function loadFolder(directory: string): Promise<FolderSnapshot> {
  const folder = new Folder(directory)
  await folder.scan()
  return folder.snapshot
}

/** A folder of YAML and the last good content of each of its files. */
export class Folder {
  readonly #directory: string
  #files = new Map<string, KnownFile>()
  #snapshot: FolderSnapshot = EMPTY

  constructor(directory: string) {
    this.#directory = directory
  }

  get snapshot(): FolderSnapshot {
    return this.#snapshot
  }

  /**
   * Looks at every file and reads those that changed. True when the snapshot
   * is another one now. Fails, leaving all as it was, if the folder cannot be
   * listed: a folder that is gone for a moment does not mean an empty mesh.
   */
  async scan(): Promise<boolean> {
    const found = await listFiles(this.#directory)
    const next = new Map<string, KnownFile>()
    let changed = this.#files.size !== found.length || this.#snapshot === EMPTY
    for (const file of found) {
      const known = this.#files.get(file)
      const read = await readIfChanged(this.#directory, file, known)
      if (read !== known) changed = true
      if (read !== undefined) next.set(file, read)
    }
    if (!changed) return false
    this.#files = next
    this.#snapshot = buildSnapshot([...next.values()], this.#snapshot)
    return true
  }

  /** Whether `scan` may find something else than it last did. Reads no file. Fails as `scan` does. */
  async differs(): Promise<boolean> {
    const found = await listFiles(this.#directory)
    if (found.length !== this.#files.size) return true
    for (const file of found) {
      const known = this.#files.get(file)
      const stats = await stat(join(this.#directory, file), { bigint: true }).catch(() => undefined)
      if (stats === undefined || known?.fingerprint !== fingerprintOf(stats)) return true
    }
    return false
  }
}

const EMPTY: FolderSnapshot = {
  objects: collectObjects([]),
  others: [],
  problems: [],
  files: [],
  complete: false,
  locate: () => undefined,
}

/** Hidden entries are skipped: editors' swap files, and the `..data` folders that mounted ConfigMaps are made of. */
async function listFiles(directory: string, depth = 0): Promise<string[]> {
  if (depth > MAX_DEPTH) throw new Error(`${directory}: more than ${MAX_DEPTH} folders deep`)
  const found: string[] = []
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue
    const path = join(directory, entry.name)
    if (entry.isDirectory()) {
      for (const inner of await listFiles(path, depth + 1)) found.push(join(entry.name, inner))
    } else if (isYaml(entry) || (await isLinkToFolder(entry, path))) found.push(relative(directory, path))
  }
  return found.sort()
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

function buildSnapshot(files: readonly KnownFile[], previous: FolderSnapshot): FolderSnapshot {
  const problems: FileProblem[] = []
  const states: FileState[] = []
  const parsed: ParsedObject[] = []
  for (const { file, good, latest } of files) {
    problems.push(...latest.problems)
    parsed.push(...(good?.objects ?? []))
    const state = good === latest ? 'current' : good === undefined ? 'refused' : 'stale'
    states.push({ file, state, objects: good?.objects.length ?? 0 })
  }
  const refused = states.find(({ state }) => state === 'refused')
  if (refused !== undefined) parsed.push(...missing(previous, parsed, refused.file, problems))
  const objects = byKind(parsed, problems)
  const places = new Map<KubernetesObject, ObjectPlace>(parsed.map((entry) => [entry.object, entry]))
  return {
    objects,
    others: files.flatMap(({ good }) => good?.others ?? []),
    problems,
    files: states,
    complete: refused === undefined,
    locate: (object) => places.get(object),
  }
}

/**
 * What was there before and is in no file now. While some file has never been
 * read well it may stand in that one: a policy that moves to another file, or
 * whose file is renamed, must not be lifted by a slip made on the way.
 */
function missing(
  previous: FolderSnapshot,
  parsed: readonly ParsedObject[],
  refused: string,
  problems: FileProblem[],
): ParsedObject[] {
  const present = new Set(parsed.map(({ object }) => idOf(object)))
  const kept: ParsedObject[] = []
  for (const objects of Object.values(previous.objects)) {
    for (const object of objects.values()) {
      const place = previous.locate(object)
      if (place === undefined || present.has(idOf(object))) continue
      kept.push({ object, ...place })
      const message = `${idOf(object)} is not here any more; it stays in force until ${refused} can be read`
      const { file, line, column } = place
      problems.push({ severity: 'warning', file, line, column, field: '', message })
    }
  }
  return kept
}

/** The first file in order of name wins an object that two files define. */
function byKind(parsed: readonly ParsedObject[], problems: FileProblem[]): KubernetesObjects {
  const first = new Map<string, ParsedObject>()
  for (const entry of parsed) {
    const { kind, metadata } = entry.object
    const id = idOf(entry.object)
    const earlier = first.get(id)
    if (earlier === undefined) {
      first.set(id, entry)
      continue
    }
    problems.push({
      severity: 'error',
      file: entry.file,
      line: entry.line,
      column: entry.column,
      field: 'metadata.name',
      message: `${kind} ${metadata.name} is defined in ${earlier.file}:${earlier.line} too, and that one is in force: remove one`,
    })
  }
  return collectObjects([...first.values()].map(({ object }) => object))
}

function idOf(object: KubernetesObject): string {
  return `${object.kind} ${objectKey(object)}`
}
