import { peerAuthenticationSelects } from '../translate-peer-authentication.ts'
import { hasEnded, serviceSelects } from '../translate-workload.ts'
import { type CheckInput, type Finding, isKeyOf } from './finding.ts'

/**
 * Services and PeerAuthentications whose selector picks no pod. (The
 * translation itself says so of AuthorizationPolicies.) A warning: the pods
 * may be yet to come.
 */
export function emptySelectors({ objects, workloads, rootNamespace }: CheckInput): readonly Finding[] {
  const pods = [...objects.pods.values()].filter((pod) => !hasEnded(pod))
  const findings: Finding[] = []
  for (const service of objects.services.values()) {
    const { selector, type } = service.spec
    if (type === 'ExternalName' || Object.keys(selector).length === 0) continue
    if (pods.some((pod) => serviceSelects(service, pod))) continue
    if (workloads.some(({ services }) => [...services.keys()].some((key) => isKeyOf(key, service)))) continue
    const message = `no pod of namespace ${service.metadata.namespace} has these labels: the service has no endpoints`
    findings.push({ severity: 'warning', object: service, field: 'spec.selector', message })
  }
  for (const policy of objects.peerAuthentications.values()) {
    if (policy.spec.matchLabels === undefined) continue
    if (pods.some((pod) => peerAuthenticationSelects(policy, pod, rootNamespace))) continue
    const message =
      policy.metadata.namespace === rootNamespace
        ? `has no effect in the root namespace ${rootNamespace}: only a policy without selector holds for the mesh`
        : 'no pod has these labels at present: the policy applies to nothing'
    findings.push({ severity: 'warning', object: policy, field: 'spec.selector.matchLabels', message })
  }
  return findings
}
