import type { BigIntStats, Dirent } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { KubernetesObject, KubernetesObjects } from './objects.ts'
import { type ParsedFile, type ParsedObject, parseFile } from './parse.ts'
import type { FileProblem } from './problem.ts'

/** What a folder says at one moment. */
export interface FolderSnapshot {
  readonly objects: KubernetesObjects
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

/** Larger files are refused: a mesh of ten thousand pods written out in full is about 20 MB. Bytes. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024
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
    this.#snapshot = buildSnapshot([...next.values()])
    return true
  }
}

interface KnownFile {
  readonly file: string
  readonly fingerprint: string
  /** The last content without an error. */
  readonly good: ParsedFile | undefined
  readonly latest: ParsedFile
}

const NO_OBJECTS: KubernetesObjects = {
  namespaces: new Map(),
  pods: new Map(),
  services: new Map(),
  authorizationPolicies: new Map(),
  peerAuthentications: new Map(),
}
const EMPTY: FolderSnapshot = {
  objects: NO_OBJECTS,
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
    } else if (isYaml(entry)) found.push(relative(directory, path))
  }
  return found.sort()
}

function isYaml(entry: Dirent): boolean {
  return (entry.isFile() || entry.isSymbolicLink()) && /\.ya?ml$/.test(entry.name)
}

async function readIfChanged(
  directory: string,
  file: string,
  known: KnownFile | undefined,
): Promise<KnownFile | undefined> {
  const path = join(directory, file)
  try {
    const stats = await stat(path, { bigint: true })
    if (stats.isDirectory()) return undefined
    const fingerprint = fingerprintOf(stats)
    if (known?.fingerprint === fingerprint) return known
    if (stats.size > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes: split it`)
    return withLatest(file, fingerprint, parseFile(file, await readFile(path, 'utf8')), known)
  } catch (cause) {
    // Deleted between listing and reading: gone, unlike one that is there but cannot be read.
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    const message = `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`
    const problem: FileProblem = {
      severity: 'error',
      file,
      line: undefined,
      column: undefined,
      field: '',
      message,
    }
    const fingerprint = `unreadable ${message}`
    if (known?.fingerprint === fingerprint) return known
    return withLatest(file, fingerprint, { objects: [], problems: [problem] }, known)
  }
}

function fingerprintOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
}

function withLatest(
  file: string,
  fingerprint: string,
  latest: ParsedFile,
  known: KnownFile | undefined,
): KnownFile {
  const failed = latest.problems.some(({ severity }) => severity === 'error')
  return { file, fingerprint, latest, good: failed ? known?.good : latest }
}

function buildSnapshot(files: readonly KnownFile[]): FolderSnapshot {
  const problems: FileProblem[] = []
  const states: FileState[] = []
  const parsed: ParsedObject[] = []
  for (const { file, good, latest } of files) {
    problems.push(...latest.problems)
    parsed.push(...(good?.objects ?? []))
    const state = good === latest ? 'current' : good === undefined ? 'refused' : 'stale'
    states.push({ file, state, objects: good?.objects.length ?? 0 })
  }
  const objects = byKind(parsed, problems)
  const complete = states.every(({ state }) => state !== 'refused')
  const places = new Map<KubernetesObject, ObjectPlace>(parsed.map((entry) => [entry.object, entry]))
  return { objects, problems, files: states, complete, locate: (object) => places.get(object) }
}

/** The first file in order of name wins an object that two files define. */
function byKind(parsed: readonly ParsedObject[], problems: FileProblem[]): KubernetesObjects {
  const first = new Map<string, ParsedObject>()
  for (const entry of parsed) {
    const { kind, metadata } = entry.object
    const id = `${kind} ${keyOf(entry.object)}`
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
  return collect([...first.values()].map(({ object }) => object))
}

function collect(all: readonly KubernetesObject[]): KubernetesObjects {
  const pick = <K extends KubernetesObject['kind']>(kind: K) =>
    new Map(
      all
        .filter((object): object is Extract<KubernetesObject, { kind: K }> => object.kind === kind)
        .map((object) => [keyOf(object), object] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    )
  return {
    namespaces: pick('Namespace'),
    pods: pick('Pod'),
    services: pick('Service'),
    authorizationPolicies: pick('AuthorizationPolicy'),
    peerAuthentications: pick('PeerAuthentication'),
  }
}

function keyOf({ kind, metadata }: KubernetesObject): string {
  return kind === 'Namespace' ? metadata.name : `${metadata.namespace}/${metadata.name}`
}
