import type { CheckInput, Finding } from './finding.ts'

/** Policies bound to a class of gateways that is not there. */
export function gatewayClasses({ objects, others }: CheckInput): readonly Finding[] {
  const classes = new Set(ISTIO_CLASSES)
  for (const { kind, name } of others) if (kind === 'GatewayClass') classes.add(name)
  const findings: Finding[] = []
  for (const policy of objects.authorizationPolicies.values()) {
    for (const { kind, name } of policy.spec.targetRefs) {
      if (kind !== 'GatewayClass' || classes.has(name)) continue
      const message = `there is no GatewayClass ${name}`
      findings.push({ severity: 'warning', object: policy, field: 'spec.targetRefs', message })
    }
  }
  return findings
}

/** istiod brings these along: no YAML has them. */
const ISTIO_CLASSES: readonly string[] = ['istio', 'istio-remote', 'istio-waypoint', 'istio-east-west']
