/** Labels that give a workload its canonical name, the first that is set. */
export const CANONICAL_NAME_LABELS = ['service.istio.io/canonical-name', 'app.kubernetes.io/name', 'app']
/** Labels that give a workload its canonical revision, the first that is set. */
export const CANONICAL_REVISION_LABELS = [
  'service.istio.io/canonical-revision',
  'app.kubernetes.io/version',
  'version',
]

/** The value of the first label that is there and not empty. */
export function firstLabel(
  labels: Readonly<Record<string, string>>,
  keys: readonly string[],
): string | undefined {
  return keys.map((key) => labels[key]).find((value) => value !== undefined && value !== '')
}
