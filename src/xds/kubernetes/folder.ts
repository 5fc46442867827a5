import { collectObjects, objectId, objectKey } from './collect-objects.ts'
import { FolderRoot } from './folder-root.ts'
import type { KnownFile } from './known-file.ts'
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
  /** Relative to the folder; with several, the folder as it was given is part of it. */
  readonly file: string
  readonly line: number
  readonly column: number
}

export interface FileState {
  /** As in `ObjectPlace`. */
  readonly file: string
  /** `stale`: has errors, and what is in error is in force as it last was good. `refused`: has errors and never was good. */
  readonly state: 'current' | 'stale' | 'refused'
  readonly objects: number
}

/** Reads a folder, or several as one, once. Fails only if one cannot be listed. */
export async function loadFolder(directories: string | readonly string[]): Promise<FolderSnapshot> {
  const folder = new Folder(directories)
  await folder.scan()
  return folder.snapshot
}

/** What the names of files are relative to: the folder, if there is one; of several, each file's name has its folder's. */
export function baseOf(directories: readonly string[]): string {
  const [first = ''] = directories
  return directories.length === 1 ? first : ''
}

/** A folder of YAML, or several as one, and the last good content of each file. */
export class Folder {
  readonly #roots: readonly FolderRoot[]
  #snapshot: FolderSnapshot = EMPTY

  constructor(directories: string | readonly string[]) {
    const all = typeof directories === 'string' ? [directories] : directories
    this.#roots = all.map((directory) => new FolderRoot(directory, baseOf(all)))
  }

  get snapshot(): FolderSnapshot {
    return this.#snapshot
  }

  /**
   * Looks at every file and reads those that changed. True when the snapshot
   * is another one now. Fails if a folder never could be listed; one that
   * cannot be listed later keeps its files, and the snapshot has the problem.
   */
  async scan(): Promise<boolean> {
    let changed = this.#snapshot === EMPTY
    for (const root of this.#roots) if (await root.scan()) changed = true
    if (changed) this.#snapshot = buildSnapshot(this.#roots, this.#snapshot)
    return changed
  }

  /** Whether `scan` may find something else than it last did. Reads no file. */
  async differs(): Promise<boolean> {
    for (const root of this.#roots) if (await root.differs()) return true
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

function buildSnapshot(roots: readonly FolderRoot[], previous: FolderSnapshot): FolderSnapshot {
  const files = roots.flatMap((root) => root.files)
  const problems: FileProblem[] = roots.flatMap(({ problem }) => problem ?? [])
  const states: FileState[] = []
  const parsed: ParsedObject[] = []
  for (const { file, good, latest } of files) {
    problems.push(...latest.problems)
    parsed.push(...(good?.objects ?? []))
    const state = good === latest ? 'current' : good === undefined ? 'refused' : 'stale'
    states.push({ file, state, objects: good?.objects.length ?? 0 })
  }
  const refused = states.find(({ state }) => state === 'refused')
  if (states.some(({ state }) => state !== 'current')) {
    parsed.push(...missing(previous, parsed, holders(files, refused?.file), problems))
  }
  const objects = byKind(parsed, previous, problems)
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
 * The file in error that an object may stand in: one whose present content,
 * which is not in force, names it; else one that has never been read well.
 */
function holders(
  files: readonly KnownFile[],
  refused: string | undefined,
): (id: string) => string | undefined {
  const byId = new Map<string, string>()
  for (const { file, good, latest } of files) {
    if (good === latest) continue
    for (const { object } of latest.objects) byId.set(objectId(object), file)
    for (const { id } of latest.refused) if (id !== undefined) byId.set(id, file)
  }
  return (id) => byId.get(id) ?? refused
}

/**
 * What was there before, is in no file now, and may stand in one that is in
 * error: a policy that moves to another file, or whose file is renamed, must
 * not be lifted by a slip made on the way.
 */
function missing(
  previous: FolderSnapshot,
  parsed: readonly ParsedObject[],
  holderOf: (id: string) => string | undefined,
  problems: FileProblem[],
): ParsedObject[] {
  const present = new Set(parsed.map(({ object }) => objectId(object)))
  const kept: ParsedObject[] = []
  for (const objects of Object.values(previous.objects)) {
    for (const object of objects.values()) {
      const place = previous.locate(object)
      const id = objectId(object)
      const holder = present.has(id) ? undefined : holderOf(id)
      if (place === undefined || holder === undefined) continue
      kept.push({ object, ...place })
      const message = `${id} is not here any more; it stays in force until ${holder} can be read`
      const { file, line, column } = place
      problems.push({ severity: 'warning', file, line, column, field: '', message })
    }
  }
  return kept
}

/**
 * Of two with the same name, the one that was in force stays so, since the
 * other is the mistake; before there was one, the first file in order of name.
 */
function byKind(
  parsed: readonly ParsedObject[],
  previous: FolderSnapshot,
  problems: FileProblem[],
): KubernetesObjects {
  const byId = new Map<string, ParsedObject>()
  for (const entry of parsed) {
    const id = objectId(entry.object)
    const earlier = byId.get(id)
    const stays = earlier !== undefined && !wasInForce(entry, previous) ? earlier : entry
    byId.set(id, stays)
    if (earlier === undefined) continue
    const { file, line, column, object } = stays === entry ? earlier : entry
    const message = `${object.kind} ${object.metadata.name} is defined in ${stays.file}:${stays.line} too, and that one is in force: remove one`
    problems.push({ severity: 'error', file, line, column, field: 'metadata.name', message })
  }
  return collectObjects([...byId.values()].map(({ object }) => object))
}

/** By file: the object itself may have changed. */
function wasInForce({ object, file }: ParsedObject, previous: FolderSnapshot): boolean {
  const kinds: readonly ReadonlyMap<string, KubernetesObject>[] = Object.values(previous.objects)
  const before = kinds
    .map((objects) => objects.get(objectKey(object)))
    .find((found) => found?.kind === object.kind)
  return before !== undefined && previous.locate(before)?.file === file
}
