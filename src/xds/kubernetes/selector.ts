import type { ObjectMeta } from './objects.ts'

/** What selectors choose from: pods, and what stands for them. */
export interface Labelled {
  readonly metadata: Pick<ObjectMeta, 'namespace' | 'labels'>
}

/** Whether labels carry every pair of a selector. An empty selector matches everything. */
export function matchesLabels(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean {
  for (const key in selector) if (labels[key] !== selector[key]) return false
  return true
}
