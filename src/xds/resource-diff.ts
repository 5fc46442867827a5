import type { JsonValue } from '@bufbuild/protobuf'
import type { ReadableResource, ResourceKind } from './resource-json.ts'

/** One field of a resource before and after; undefined where it is not there. */
export interface FieldChange {
  /** `services["foo/a.foo.svc.cluster.local"].ports[0].targetPort` */
  readonly field: string
  readonly before: JsonValue | undefined
  readonly after: JsonValue | undefined
}

export interface ResourceChange {
  readonly change: 'added' | 'removed' | 'changed'
  readonly kind: ResourceKind
  readonly name: string
  /** Of a changed resource; none for others. */
  readonly fields: readonly FieldChange[]
}

/** What becomes of one mesh's resources in another, in order of kind and name. */
export function diffResources(
  before: readonly ReadableResource[],
  after: readonly ReadableResource[],
): readonly ResourceChange[] {
  const earlier = new Map(before.map((resource) => [idOf(resource), resource]))
  const later = new Map(after.map((resource) => [idOf(resource), resource]))
  const ids = [...new Set([...earlier.keys(), ...later.keys()])].sort()
  return ids.flatMap((id): readonly ResourceChange[] => {
    const [old, now] = [earlier.get(id), later.get(id)]
    const { kind, name } = now ?? old ?? NOTHING
    if (old === undefined) return [{ change: 'added', kind, name, fields: [] }]
    if (now === undefined) return [{ change: 'removed', kind, name, fields: [] }]
    const fields = diffFields(old.value, now.value, '')
    return fields.length === 0 ? [] : [{ change: 'changed', kind, name, fields }]
  })
}

const NOTHING: ReadableResource = { kind: 'workload', name: '', value: {} }

function idOf({ kind, name }: ReadableResource): string {
  return `${kind} ${name}`
}

function diffFields(
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  field: string,
): readonly FieldChange[] {
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
    return names.flatMap((name) => diffFields(before[name], after[name], join(field, name)))
  }
  // By index among messages; a list of plain values is one value to its reader.
  if (isList(before) && isList(after) && [...before, ...after].every(isNested)) {
    const longer = before.length > after.length ? before : after
    return [...longer.keys()].flatMap((at) => diffFields(before[at], after[at], `${field}[${at}]`))
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ field, before, after }]
}

function join(field: string, name: string): string {
  if (!/^\w+$/.test(name)) return `${field}["${name}"]`
  return field === '' ? name : `${field}.${name}`
}

function isNested(value: JsonValue): boolean {
  return typeof value === 'object' && value !== null
}

function isList(value: JsonValue | undefined): value is JsonValue[] {
  return Array.isArray(value)
}

function isObject(value: JsonValue | undefined): value is { [field: string]: JsonValue } {
  return value !== undefined && isNested(value) && !isList(value)
}
