import type { BigIntStats } from 'node:fs'
import { lstat, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { objectId } from './collect-objects.ts'
import { type ParsedFile, parseFile } from './parse.ts'

/** One file of a folder: what it says, and what it last said well. */
export interface KnownFile {
  readonly file: string
  readonly fingerprint: string
  /**
   * What is in force. `latest` if that has no error; with one, the last good
   * state of each object that has one now, beside the others as they are; and
   * the last good content as a whole where an object in error never was good,
   * since then the others may rely on it, as a pod on its policy.
   */
  readonly good: ParsedFile | undefined
  readonly latest: ParsedFile
}

/** Larger files are refused: a mesh of ten thousand pods written out in full is about 20 MB. Bytes. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024

/** `file` is a path from `base`. Undefined when there is no such file (any more); `known` itself when it has not changed. */
export async function readIfChanged(
  base: string,
  file: string,
  known: KnownFile | undefined,
): Promise<KnownFile | undefined> {
  const path = join(base, file)
  try {
    const stats = await stat(path, { bigint: true })
    const fingerprint = fingerprintOf(stats)
    if (known?.fingerprint === fingerprint) return known
    const problem = problemOf(stats, known)
    if (problem !== undefined) return withLatest(file, fingerprint, unusable(file, problem), known)
    return withLatest(file, fingerprint, parseFile(file, await readFile(path, 'utf8'), known?.latest), known)
  } catch (cause) {
    // Deleted between listing and reading: gone, unlike one that is there but cannot be read, as a link to nothing.
    if (isNotFound(cause) && !(await exists(path))) return undefined
    const message = `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`
    const fingerprint = `unreadable ${message}`
    if (known?.fingerprint === fingerprint) return known
    return withLatest(file, fingerprint, unusable(file, message), known)
  }
}

/** Differs whenever a file may differ. */
export function fingerprintOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
}

/** Why what is there must not be read, before it is. */
function problemOf(stats: BigIntStats, known: KnownFile | undefined): string | undefined {
  if (stats.isDirectory()) {
    return 'is a link to a folder, which is not followed: put the folder itself here, or links to its files'
  }
  // A pipe or a device would never come to its end.
  if (!stats.isFile()) return 'is no regular file'
  if (stats.size > MAX_FILE_BYTES) return `is larger than ${MAX_FILE_BYTES} bytes: split it`
  // An editor that stopped between truncating and writing, as on a full disk, must not lift a policy.
  if (stats.size === 0n && (known?.good?.objects.length ?? 0) > 0) {
    return 'is empty; delete the file to withdraw what it held'
  }
  return undefined
}

function unusable(file: string, message: string): ParsedFile {
  return {
    objects: [],
    refused: [{ id: undefined, line: undefined, column: undefined }],
    others: [],
    chunks: new Map(),
    problems: [{ severity: 'error', file, line: undefined, column: undefined, field: '', message }],
  }
}

function isNotFound(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}

function withLatest(
  file: string,
  fingerprint: string,
  latest: ParsedFile,
  known: KnownFile | undefined,
): KnownFile {
  if (latest.refused.length === 0) return { file, fingerprint, latest, good: latest }
  const good = known?.good && (withLastGood(latest, known.good) ?? known.good)
  return { file, fingerprint, latest, good }
}

/** Undefined if an object that is refused now cannot be told, or never was good. */
function withLastGood(latest: ParsedFile, good: ParsedFile): ParsedFile | undefined {
  const known = new Map(good.objects.map((entry) => [objectId(entry.object), entry]))
  const objects = [...latest.objects]
  for (const { id, line, column } of latest.refused) {
    const last = id === undefined ? undefined : known.get(id)
    if (last === undefined) return undefined
    objects.push({ ...last, line: line ?? last.line, column: column ?? last.column })
  }
  return { ...latest, objects }
}
