import { KNOWN_FIELDS, type Shape } from './known-fields.ts'

export interface UnknownField {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/**
 * Fields that an object of a kind does not have: mistyped, they say nothing to
 * anybody. Kubernetes' own kinds gain fields with every version, so that one
 * that is not known may also be newer than this list.
 */
export function unknownFields(kind: string, value: object): readonly UnknownField[] {
  const shape = KNOWN_FIELDS.get(kind)
  const found: UnknownField[] = []
  if (shape !== undefined) look(value, shape, [], found)
  return found
}

/** The name among those given that somebody may have meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const limit = name.length <= SHORT_NAME ? 1 : 2
  const ranked = known
    .map((candidate) => ({ candidate, distance: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
  return ranked[0]?.candidate
}

/** Two slips in so few letters make another word. Letters. */
const SHORT_NAME = 4

function look(value: unknown, shape: Shape, path: readonly PropertyKey[], found: UnknownField[]): void {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) look(item, shape, [...path, index], found)
    return
  }
  if (typeof value !== 'object' || value === null) return
  for (const [field, inner] of Object.entries(value)) {
    const known = Object.hasOwn(shape, field) ? shape[field] : undefined
    if (known === undefined) found.push({ path: [...path, field], message: messageOf(field, shape) })
    else if (known !== true) look(inner, known, [...path, field], found)
  }
}

function messageOf(field: string, shape: Shape): string {
  const meant = nearest(field, Object.keys(shape))
  return `unknown field, it has no effect${meant === undefined ? '' : `; is "${meant}" meant?`}`
}

/** Levenshtein's: how many letters have to be put in, left out or replaced. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [at, letter] of [...from].entries()) {
    const next = [at + 1]
    for (const [index, other] of [...to].entries()) {
      const replaced = (row[index] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min(replaced, (row[index + 1] ?? 0) + 1, (next[index] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
