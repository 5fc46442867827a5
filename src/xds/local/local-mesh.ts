import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { MeshChange } from '../../mesh/mesh-change.ts'
import { policyName, serviceKey } from '../../mesh/names.ts'
import { XdsError } from '../errors.ts'
import { formatProblem } from '../kubernetes/problem.ts'
import type { XdsLog } from '../log.ts'
import { type LocalState, type ParsedLocalState, parseLocalState } from './parse.ts'
import { FileWatch } from './watch-file.ts'

/** Where a local mesh comes from: a file that is watched (LOCAL_XDS_PATH), or the text itself (LOCAL_XDS). */
export type LocalMeshSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'inline'; readonly text: string }

/** How to follow a local mesh; see {@link LocalMesh.load}. */
export interface LocalMeshOptions {
  readonly source: LocalMeshSource
  /** Takes what is to change, in one batch for each state of the file. */
  readonly apply: (changes: readonly MeshChange[]) => void
  readonly log: XdsLog
  /** See {@link FileWatch}. */
  readonly lookMs?: number
}

/** A mesh out of a file, in place of or beside a control plane. The last state without errors stays in force. */
export class LocalMesh {
  readonly #options: LocalMeshOptions
  #state: LocalState = { workloads: [], services: [], policies: [] }
  #watch: FileWatch | undefined

  private constructor(options: LocalMeshOptions) {
    this.#options = options
  }

  /**
   * Reads the source, applies it and, if it is a file, follows it. Throws XdsError `local-state`, which names every
   * problem with its place, when it cannot be used at first.
   */
  static load(options: LocalMeshOptions): LocalMesh {
    const mesh = new LocalMesh(options)
    const { source } = options
    const text = source.kind === 'file' ? readText(source.path) : source.text
    const parsed = parseLocalState(nameOf(source), text)
    if (parsed.state === undefined) throw unusable(source, parsed)
    mesh.#take(parsed.state)
    if (source.kind === 'file') mesh.#follow(source.path, text)
    return mesh
  }

  /** Looks at the file now; resolves when what it says is in force. */
  async look(): Promise<void> {
    await this.#watch?.look()
  }

  async close(): Promise<void> {
    await this.#watch?.close()
  }

  #follow(path: string, text: string): void {
    const { log, lookMs } = this.#options
    this.#watch = new FileWatch(text, {
      path,
      onChange: (changed) => this.#reread(path, changed),
      onError: (error) =>
        log.warn({ path, error: error.message }, 'local mesh cannot be read; its last state stays'),
      ...(lookMs === undefined ? {} : { lookMs }),
    })
  }

  #reread(path: string, text: string): void {
    const { log } = this.#options
    const { state, problems } = parseLocalState(path, text)
    if (state !== undefined) {
      this.#take(state)
      return
    }
    for (const problem of problems)
      log.warn({ problem: formatProblem(problem) }, 'local mesh has an error; its last state stays')
  }

  #take(state: LocalState): void {
    const changes = differences(this.#state, state)
    this.#state = state
    if (changes.length > 0) this.#options.apply(changes)
    const { workloads, services, policies } = state
    const counts = { workloads: workloads.length, services: services.length, policies: policies.length }
    this.#options.log.info({ ...counts, changes: changes.length }, 'local mesh in force')
  }
}

/** Policies come first and go last: no workload is for a moment without one that protects it. */
function differences(before: LocalState, after: LocalState): readonly MeshChange[] {
  const policies = compare(before.policies, after.policies, policyName)
  const services = compare(before.services, after.services, serviceKey)
  const workloads = compare(before.workloads, after.workloads, ({ uid }) => uid)
  return [
    ...policies.changed.map((policy) => ({ kind: 'upsert-policy', policy }) as const),
    ...services.changed.map((service) => ({ kind: 'upsert-service', service }) as const),
    ...workloads.changed.map((workload) => ({ kind: 'upsert-workload', workload }) as const),
    ...workloads.gone.map(({ uid }) => ({ kind: 'remove-workload', uid }) as const),
    ...services.gone.map((service) => ({ kind: 'remove-service', key: serviceKey(service) }) as const),
    ...policies.gone.map((policy) => ({ kind: 'remove-policy', name: policyName(policy) }) as const),
  ]
}

function compare<Item>(
  before: readonly Item[],
  after: readonly Item[],
  nameOf: (item: Item) => string,
): { changed: readonly Item[]; gone: readonly Item[] } {
  const old = new Map(before.map((item) => [nameOf(item), item]))
  const names = new Set(after.map(nameOf))
  return {
    changed: after.filter((item) => !isDeepStrictEqual(item, old.get(nameOf(item)))),
    gone: before.filter((item) => !names.has(nameOf(item))),
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new XdsError('local-state', `the local mesh cannot be read: ${reason}`, { cause })
  }
}

function nameOf(source: LocalMeshSource): string {
  return source.kind === 'file' ? source.path : 'LOCAL_XDS'
}

function unusable(source: LocalMeshSource, { problems }: ParsedLocalState): XdsError {
  const lines = problems.map((problem) => `  ${formatProblem(problem)}`)
  return new XdsError('local-state', `the local mesh ${nameOf(source)} cannot be used:\n${lines.join('\n')}`)
}
