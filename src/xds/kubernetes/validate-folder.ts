import { type CheckInput, checkObjects, type Finding } from './checks/index.ts'
import { FieldPlaces } from './field-places.ts'
import { baseOf, type FolderSnapshot, loadFolder } from './folder.ts'
import { type FileProblem, formatPlace } from './problem.ts'
import { type MeshResources, translate } from './translate.ts'
import type { TranslateOptions } from './translate-context.ts'

/** All that can be said of a folder without running it. */
export interface FolderReport {
  readonly snapshot: FolderSnapshot
  /** What the config server makes of it. */
  readonly mesh: MeshResources
  /** Of the files, of the translation and of the checks; by place, each once. */
  readonly problems: readonly FileProblem[]
  /**
   * False while a file cannot be read: what refers to something that is not
   * there was not looked for then.
   */
  readonly referencesChecked: boolean
}

/** Reads a folder, or several as one, as the config server does, and checks what it says. Fails only if one cannot be listed. */
export async function validateFolder(
  directories: string | readonly string[],
  options: TranslateOptions,
): Promise<FolderReport> {
  const snapshot = await loadFolder(directories)
  const { objects, others, complete } = snapshot
  const mesh = translate(objects, options)
  const { workloads, rootNamespace, trustDomains } = mesh
  const input: CheckInput = { objects, others, workloads, trustDomains, rootNamespace }
  const warnings = mesh.warnings.map((warning): Finding => ({ severity: 'warning', ...warning }))
  const places = new FieldPlaces(baseOf([directories].flat()))
  const located: FileProblem[] = []
  for (const finding of [...warnings, ...checkObjects(input, complete)]) {
    located.push(await locate(finding, snapshot, places))
  }
  const problems = [...snapshot.problems, ...located].sort(byPlace)
  return { snapshot, mesh, problems, referencesChecked: complete }
}

async function locate(
  { severity, object, field, message, other }: Finding,
  snapshot: FolderSnapshot,
  places: FieldPlaces,
): Promise<FileProblem> {
  const find = async (at: Pick<Finding, 'object' | 'field'>) => {
    const place = snapshot.locate(at.object)
    return place === undefined ? undefined : await places.find(place, at.field)
  }
  const { file = '', line, column } = (await find({ object, field })) ?? {}
  const elsewhere = other && (await find(other))
  const text = elsewhere === undefined ? message : `${message}, at ${formatPlace(elsewhere)}`
  return { severity, file, line, column, field, message: text }
}

function byPlace(a: FileProblem, b: FileProblem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
}
