import type { KubernetesObject } from '../objects.ts'
import { hasEnded } from '../translate-workload.ts'
import type { CheckInput, Finding } from './finding.ts'

/** Addresses that two objects claim: connections to them would reach one, and be given the other's identity. */
export function addressConflicts({ objects }: CheckInput): readonly Finding[] {
  const claims: Claim[] = []
  for (const pod of objects.pods.values()) {
    // Pods in the host's network share the node's addresses; one that has ended holds none any more.
    if (pod.spec.hostNetwork || hasEnded(pod)) continue
    for (const address of pod.status.podIPs) claims.push({ object: pod, field: 'status.podIP', address })
  }
  for (const service of objects.services.values()) {
    if (service.spec.type === 'ExternalName') continue
    for (const address of service.spec.clusterIPs) {
      claims.push({ object: service, field: 'spec.clusterIP', address })
    }
  }
  return conflicts(claims)
}

interface Claim {
  readonly object: KubernetesObject
  readonly field: string
  readonly address: string
}

function conflicts(claims: readonly Claim[]): readonly Finding[] {
  const first = new Map<string, Claim>()
  const findings: Finding[] = []
  for (const claim of claims) {
    const { object, field, address } = claim
    const earlier = first.get(address)
    if (earlier === undefined) first.set(address, claim)
    else if (earlier.object !== object) {
      const { kind, metadata } = earlier.object
      const message = `${address} is the address of ${kind} ${metadata.namespace}/${metadata.name} too`
      findings.push({ severity: 'error', object, field, message, other: earlier })
    }
  }
  return findings
}
