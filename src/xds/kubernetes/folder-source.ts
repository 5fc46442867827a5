import { resolve } from 'node:path'
import { silentLog, type XdsLog } from '../log.ts'
import type { Source, SourceProblem, SourceSnapshot, SourceStatus } from '../source.ts'
import { objectKey } from './collect-objects.ts'
import type { FolderSnapshot } from './folder.ts'
import { type FileProblem, formatPlace, formatProblem } from './problem.ts'
import { Translator } from './translate.ts'
import type { TranslateOptions, TranslateWarning } from './translate-context.ts'
import { type FolderWatch, type WatchOptions, watchFolder } from './watch-folder.ts'

export interface FolderSourceOptions extends TranslateOptions {
  /** Read as one. Of an object that two define, the first one's counts. */
  readonly directories: readonly string[]
  /** Every problem is logged once, when it appears. */
  readonly log?: XdsLog
  readonly watch?: Pick<WatchOptions, 'debounceMs' | 'rescanMs'>
}

/** A folder of Kubernetes YAML as the source of a mesh. */
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
    const { directories } = this.#options
    return {
      source: `${directories.length === 1 ? 'folder' : 'folders'} ${directories.map((directory) => resolve(directory)).join(', ')}`,
      complete: this.#complete,
      problems: this.#problems,
      parts: files.map(({ file, state, objects }) => ({ name: file, state, objects })),
    }
  }

  async close(): Promise<void> {
    await this.#watch?.close()
  }

  #changed(snapshot: FolderSnapshot, onMesh: (mesh: SourceSnapshot) => void): void {
    const { warnings, ...mesh } = this.#translator.translate(snapshot.objects)
    this.#trustDomain = mesh.trustDomains[0]
    const problems = [...snapshot.problems, ...warnings.map((warning) => located(warning, snapshot))]
    this.#report(problems.map((problem) => ({ severity: problem.severity, text: formatProblem(problem) })))
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

function located({ object, field, message, other }: TranslateWarning, snapshot: FolderSnapshot): FileProblem {
  const { file = '', line, column } = snapshot.locate(object) ?? {}
  const elsewhere = other && snapshot.locate(other.object)
  const text = elsewhere === undefined ? message : `${message}, at ${formatPlace(elsewhere)}`
  const name = `${object.kind} ${objectKey(object)}`
  return { severity: 'warning', file, line, column, field: `${name} ${field}`, message: text }
}
