import type { Locality } from '../../mesh/model.ts'
import type { TranslateContext } from './translate-context.ts'

/** Where a pod is, by the labels of its node. Empty for a node that is not in the folder. */
export function localityOfNode(name: string, { objects }: TranslateContext): Locality {
  const labels = objects.nodes.get(name)?.metadata.labels ?? {}
  return {
    region: labels['topology.kubernetes.io/region'] ?? '',
    zone: labels['topology.kubernetes.io/zone'] ?? '',
    subzone: labels['topology.istio.io/subzone'] ?? '',
  }
}
