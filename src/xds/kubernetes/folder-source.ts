import { resolve } from 'node:path'
import { silentLog, type XdsLog } from '../log.ts'
import type { Source, SourceProblem, SourceSnapshot, SourceStatus } from '../source.ts'
import { objectId, objectKey } from './collect-objects.ts'
import type { FolderSnapshot } from './folder.ts'
import { mergeObjects, type ObjectProvider, type ProvidedObjects } from './object-provider.ts'
import type { KubernetesObject } from './objects.ts'
import { type FileProblem, formatPlace, formatProblem } from './problem.ts'
import { Translator } from './translate.ts'
import type { TranslateOptions, TranslateWarning } from './translate-context.ts'
import { type FolderWatch, type WatchOptions, watchFolder } from './watch-folder.ts'

export interface FolderSourceOptions extends TranslateOptions {
  /** Read as one. Of an object that two define, the first one's counts. */
  readonly directories: readonly string[]
  /** Who has objects besides. Of an object that both have, the folders' counts. */
  readonly provider?: ObjectProvider | undefined
  /** Every problem is logged once, when it appears. */
  readonly log?: XdsLog
  readonly watch?: Pick<WatchOptions, 'debounceMs' | 'rescanMs'>
}

/** A folder of Kubernetes YAML as the source of a mesh, with what others provide besides. */
export class FolderSource implements Source {
  readonly #options: FolderSourceOptions
  readonly #log: XdsLog
  readonly #translator: Translator
  #watch: FolderWatch | undefined
  #problems: readonly SourceProblem[] = []
  #complete = false
  #trustDomain: string | undefined

  constructor(options: FolderSourceOptions) {
    this.#options = options
    this.#translator = new Translator(options)
    this.#log = options.log ?? silentLog
  }

  async start(onMesh: (mesh: SourceSnapshot) => void): Promise<void> {
    const { provider } = this.#options
    await provider?.start(() => this.#watch && this.#changed(this.#watch.snapshot, onMesh))
    this.#watch = await watchFolder(this.#options.directories, {
      ...this.#options.watch,
      onChange: (snapshot) => this.#changed(snapshot, onMesh),
      onError: (error) =>
        this.#log.error({ err: error }, 'a folder sends no events of changes; they are seen a little later'),
    })
  }

  /** As given, else as the MeshConfig had it at the start. Throws before `start`. */
  get trustDomain(): string {
    if (this.#trustDomain === undefined) throw new Error('the folder has not been read yet')
    return this.#trustDomain
  }

  status(): SourceStatus {
    const files = this.#watch?.snapshot.files ?? []
    const { directories, provider } = this.#options
    const folders = `${directories.length === 1 ? 'folder' : 'folders'} ${directories.map((directory) => resolve(directory)).join(', ')}`
    return {
      source: [directories.length === 0 ? [] : folders, provider?.name ?? []].flat().join(' and '),
      complete: this.#complete,
      problems: this.#problems,
      parts: [
        ...files.map(({ file, state, objects }) => ({ name: file, state, objects })),
        ...(provider?.parts() ?? []),
      ],
    }
  }

  async close(): Promise<void> {
    await this.#watch?.close()
    await this.#options.provider?.close()
  }

  #changed(snapshot: FolderSnapshot, onMesh: (mesh: SourceSnapshot) => void): void {
    const { provider } = this.#options
    const provided = provider?.objects(snapshot.objects) ?? NOTHING
    const { objects, hidden } = mergeObjects(snapshot.objects, provided.objects)
    const { warnings, ...mesh } = this.#translator.translate(objects)
    this.#trustDomain = mesh.trustDomains[0]
    const problems = [
      ...snapshot.problems,
      ...hidden.map((object) => hiddenBy(object, snapshot, provider)),
      ...warnings.map((warning) => located(warning, snapshot, provider)),
    ].map((problem) => ({ severity: problem.severity, text: formatProblem(problem) }))
    this.#report([...problems, ...provided.problems])
    // A file that was refused from the start may hold a DENY policy: serving the rest could withdraw it from every proxy.
    if (snapshot.complete) this.#complete = true
    if (this.#complete) onMesh(mesh)
  }

  #report(problems: readonly SourceProblem[]): void {
    const known = new Set(this.#problems.map(({ text }) => text))
    for (const { severity, text } of problems) {
      if (known.has(text)) continue
      if (severity === 'error') this.#log.error({}, text)
      else this.#log.warn({}, text)
    }
    const present = new Set(problems.map(({ text }) => text))
    for (const { severity, text } of this.#problems) {
      if (severity === 'error' && !present.has(text)) this.#log.info({}, `mended: ${text}`)
    }
    this.#problems = problems
  }
}

const NOTHING: ProvidedObjects = { objects: [], problems: [] }

function located(
  { object, field, message, other }: TranslateWarning,
  snapshot: FolderSnapshot,
  provider: ObjectProvider | undefined,
): FileProblem {
  const { file = provider?.name ?? '', line, column } = snapshot.locate(object) ?? {}
  const elsewhere = other && snapshot.locate(other.object)
  const text = elsewhere === undefined ? message : `${message}, at ${formatPlace(elsewhere)}`
  const name = `${object.kind} ${objectKey(object)}`
  return { severity: 'warning', file, line, column, field: `${name} ${field}`, message: text }
}

/** The file's is what somebody wrote down on purpose. */
function hiddenBy(
  provided: KubernetesObject,
  snapshot: FolderSnapshot,
  provider: ObjectProvider | undefined,
): FileProblem {
  const name = objectId(provided)
  const kinds: readonly ReadonlyMap<string, KubernetesObject>[] = Object.values(snapshot.objects)
  const inForce = kinds
    .map((kind) => kind.get(objectKey(provided)))
    .find((object) => object?.kind === provided.kind)
  const { file = '', line, column } = (inForce && snapshot.locate(inForce)) ?? {}
  const message = `${provider?.name ?? ''} has a ${name} too; this one is in force`
  return { severity: 'warning', file, line, column, field: '', message }
}
