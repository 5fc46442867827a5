/**
 * Whether two values say the same: text, numbers, arrays, maps and plain
 * objects of such. What compares two meshes of 100,000 workloads must be
 * quicker than encoding them.
 */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) return Array.isArray(b) && isSameList(a, b)
  if (a instanceof Map) return b instanceof Map && isSameMap(a, b)
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  for (const key of keys) if (!(key in b) || !isSame(Reflect.get(a, key), Reflect.get(b, key))) return false
  return true
}

/** The order counts. */
export function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, index) => isSame(value, b[index]))
}

/** The order counts too: whoever wrote the one would write the other otherwise. */
function isSameMap(a: ReadonlyMap<unknown, unknown>, b: ReadonlyMap<unknown, unknown>): boolean {
  if (a.size !== b.size) return false
  const others = b.entries()
  for (const [key, value] of a) {
    const { value: other } = others.next()
    if (other === undefined || other[0] !== key || !isSame(value, other[1])) return false
  }
  return true
}
