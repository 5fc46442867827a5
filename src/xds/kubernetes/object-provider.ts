import type { SourceProblem, SourceStatus } from '../source.ts'
import { collectObjects, objectId } from './collect-objects.ts'
import type { KubernetesObject, KubernetesObjects } from './objects.ts'

/** Who has objects of a mesh beside the files of a folder. */
export interface ObjectProvider {
  /** For people: `Docker at unix:///var/run/docker.sock`. */
  readonly name: string
  /** Rejects when it cannot be reached; afterwards `onChange` is called after each change. */
  start(onChange: () => void): Promise<void>
  /** As they are now; the same object for what did not change. `besides` are the files'. */
  objects(besides: KubernetesObjects): ProvidedObjects
  /** What it is made of. */
  parts(): SourceStatus['parts']
  close(): Promise<void>
}

export interface ProvidedObjects {
  readonly objects: readonly KubernetesObject[]
  readonly problems: readonly SourceProblem[]
}

/** The objects of the files and those that somebody else provides. The files' count where both have one. */
export function mergeObjects(
  files: KubernetesObjects,
  provided: readonly KubernetesObject[],
): { readonly objects: KubernetesObjects; readonly hidden: readonly KubernetesObject[] } {
  if (provided.length === 0) return { objects: files, hidden: [] }
  const kinds: readonly ReadonlyMap<string, KubernetesObject>[] = Object.values(files)
  const ofFiles = kinds.flatMap((kind) => [...kind.values()])
  const ids = new Set(ofFiles.map(objectId))
  return {
    objects: collectObjects([...provided, ...ofFiles]),
    hidden: provided.filter((object) => ids.has(objectId(object))),
  }
}
