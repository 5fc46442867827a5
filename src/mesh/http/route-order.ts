import type { Route } from './route-model.ts'

/**
 * Order of routes of equal rank, as the Gateway API has it: the oldest first,
 * then by `namespace/name` in alphabetical order. A time that is not known is
 * taken for older than any: YAML that nobody applied to a cluster has none.
 */
export function compareRoutes(a: Route, b: Route): number {
  return (
    compare(timeOf(a), timeOf(b)) ||
    compare(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`) ||
    compare(a.kind, b.kind)
  )
}

function timeOf({ creationTimestamp }: Route): number {
  const time = Date.parse(creationTimestamp)
  return Number.isNaN(time) ? Number.NEGATIVE_INFINITY : time
}

function compare<T extends string | number>(a: T, b: T): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
