import { objectKey } from '../collect-objects.ts'
import { servicesBySelector } from '../mesh-index.ts'
import type { KubernetesObject } from '../objects.ts'
import { peerAuthenticationSelectors } from '../translate-peer-authentication.ts'
import { hasEnded } from '../translate-workload.ts'
import { type CheckInput, type Finding, objectKeyOf } from './finding.ts'

/**
 * Services and PeerAuthentications whose selector picks no pod. (The
 * translation itself says so of AuthorizationPolicies.) A warning: the pods
 * may be yet to come.
 */
export function emptySelectors({ objects, workloads, rootNamespace }: CheckInput): readonly Finding[] {
  const pods = [...objects.pods.values()].filter((pod) => !hasEnded(pod))
  const findings: Finding[] = []
  const services = servicesBySelector(objects)
  const selected = new Set<KubernetesObject>(pods.flatMap((pod) => services.matching(pod)))
  const keys = new Set(workloads.flatMap((workload) => [...workload.services.keys()].map(objectKeyOf)))
  for (const service of objects.services.values()) {
    const { selector, type } = service.spec
    if (type === 'ExternalName' || Object.keys(selector).length === 0) continue
    if (selected.has(service) || keys.has(objectKey(service))) continue
    const message = `no pod of namespace ${service.metadata.namespace} has these labels: the service has no endpoints`
    findings.push({ severity: 'warning', object: service, field: 'spec.selector', message })
  }
  const policies = peerAuthenticationSelectors(objects.peerAuthentications.values(), rootNamespace)
  for (const pod of pods) for (const policy of policies.matching(pod)) selected.add(policy)
  for (const policy of objects.peerAuthentications.values()) {
    if (policy.spec.matchLabels === undefined || selected.has(policy)) continue
    const message =
      policy.metadata.namespace === rootNamespace
        ? `has no effect in the root namespace ${rootNamespace}: only a policy without selector holds for the mesh`
        : 'no pod has these labels at present: the policy applies to nothing'
    findings.push({ severity: 'warning', object: policy, field: 'spec.selector.matchLabels', message })
  }
  return findings
}
