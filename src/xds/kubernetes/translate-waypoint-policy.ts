import type { WaypointPolicy } from '../../mesh/http/policy-model.ts'
import type { AuthorizationPolicy } from './objects.ts'
import { enforcementOf } from './target-enforcers.ts'
import type { TranslateContext } from './translate-context.ts'
import { DRY_RUN_ANNOTATION } from './translate-policy.ts'
import { translateWaypointRule } from './translate-waypoint-rule.ts'

/**
 * An AuthorizationPolicy with targetRefs as waypoints enforce it. Undefined
 * for one without, and for one that no waypoint enforces, which is reported.
 */
export function translateWaypointPolicy(
  policy: AuthorizationPolicy,
  context: TranslateContext,
): WaypointPolicy | undefined {
  const { metadata, spec } = policy
  if (spec.targetRefs.length === 0) return undefined
  const targets = spec.targetRefs.flatMap((reference) => {
    const { targets, warning } = enforcementOf(reference, metadata.namespace, context)
    if (warning !== undefined) context.warn(policy, 'spec.targetRefs', warning)
    return targets
  })
  if (targets.length === 0) return undefined
  if (spec.action === 'AUDIT') {
    context.warn(policy, 'spec.action', 'AUDIT: nothing here audits, the policy has no effect')
    return undefined
  }
  // As Istio does where a CUSTOM policy's provider is missing: what was to be asked about is not let in unasked.
  if (spec.action === 'CUSTOM') {
    const message = 'CUSTOM: no external authorizer is asked here; what the rules match is denied'
    context.warn(policy, 'spec.action', message)
  }
  const action = spec.action === 'ALLOW' ? 'ALLOW' : 'DENY'
  const trustDomains = [context.trustDomain, ...context.trustDomainAliases]
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    targets,
    action,
    dryRun: metadata.annotations[DRY_RUN_ANNOTATION] === 'true',
    rules: spec.rules.map((rule, index) =>
      translateWaypointRule(rule, {
        ...{ action, namespace: metadata.namespace, trustDomains },
        warn: (field, message) => context.warn(policy, `spec.rules[${index}]${field}`, message),
      }),
    ),
  }
}
