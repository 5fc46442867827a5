import { hasEnded } from '../translate-workload.ts'
import type { CheckInput, Finding } from './finding.ts'

/**
 * Nodes and service accounts that pods name and that are not there. Looked
 * for only where the YAML has any of that kind: many folders describe neither.
 */
export function podReferences({ objects, others }: CheckInput): readonly Finding[] {
  const accounts = new Set<string>()
  const described = new Set<string>()
  for (const { group, kind, namespace, name } of others) {
    if (group !== '' || kind !== 'ServiceAccount') continue
    accounts.add(`${namespace}/${name}`)
    described.add(namespace)
  }
  const findings: Finding[] = []
  for (const pod of objects.pods.values()) {
    if (hasEnded(pod)) continue
    const { nodeName, serviceAccountName } = pod.spec
    const { namespace } = pod.metadata
    if (objects.nodes.size > 0 && nodeName !== '' && !objects.nodes.has(nodeName)) {
      const message = `there is no Node ${nodeName}: the pod has no locality`
      findings.push({ severity: 'warning', object: pod, field: 'spec.nodeName', message })
    }
    const account = `${namespace}/${serviceAccountName}`
    // Kubernetes makes one of this name itself.
    if (serviceAccountName !== 'default' && described.has(namespace) && !accounts.has(account)) {
      const message = `there is no ServiceAccount ${account}: Kubernetes would not start the pod`
      findings.push({ severity: 'warning', object: pod, field: 'spec.serviceAccountName', message })
    }
  }
  return findings
}
