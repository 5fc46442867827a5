import type { AuthorizationPolicy as MeshPolicy, PolicyMatch } from '../../mesh/model.ts'
import type { AuthorizationPolicy } from './objects.ts'
import type { TranslateContext } from './translate-context.ts'
import { translateRule } from './translate-rule.ts'

/** A policy and the workloads that must list it. */
export interface AttachedPolicy {
  /** What it was made of. */
  readonly object: AuthorizationPolicy
  readonly policy: MeshPolicy
  /** `namespace/name` */
  readonly name: string
  /** Undefined for a policy without a selector: it is found by its scope. */
  readonly selector: Readonly<Record<string, string>> | undefined
  /** Where it selects; undefined: everywhere. */
  readonly within: string | undefined
}

/**
 * An AuthorizationPolicy as node proxies enforce it, as istiod sends it.
 * Undefined for one that is not for them. What cannot be enforced at L4 makes
 * an ALLOW rule vanish (less is allowed than was written) and is left out of a
 * DENY rule; both are reported.
 */
export function translateAuthorizationPolicy(
  policy: AuthorizationPolicy,
  context: TranslateContext,
): AttachedPolicy | undefined {
  const { metadata, spec } = policy
  // A waypoint's (translate-waypoint-policy.ts).
  if (spec.targetRefs.length > 0) return undefined
  if (spec.action === 'CUSTOM' || spec.action === 'AUDIT') {
    context.warn(policy, 'spec.action', `${spec.action} is not enforced at L4: the policy has no effect`)
    return undefined
  }
  const dryRun = metadata.annotations[DRY_RUN_ANNOTATION] === 'true'
  if (dryRun && !context.dryRunPolicies) {
    context.warn(policy, 'metadata.annotations', `${DRY_RUN_ANNOTATION}: dry-run policies are not sent`)
    return undefined
  }
  const { action, matchLabels } = spec
  const { namespace } = metadata
  const trustDomains = [context.trustDomain, ...context.trustDomainAliases]
  const rules: (readonly (readonly PolicyMatch[])[])[] = []
  for (const [index, rule] of spec.rules.entries()) {
    const warn = (field: string, message: string) =>
      context.warn(policy, `spec.rules[${index}]${field}`, message)
    const clauses = translateRule(rule, { action, namespace, trustDomains, warn })
    if (clauses !== undefined) rules.push(clauses)
  }
  const isRoot = metadata.namespace === context.rootNamespace
  const scope = matchLabels !== undefined ? 'WORKLOAD_SELECTOR' : isRoot ? 'GLOBAL' : 'NAMESPACE'
  return {
    object: policy,
    policy: { name: metadata.name, namespace: metadata.namespace, scope, action, dryRun, rules },
    name: `${metadata.namespace}/${metadata.name}`,
    selector: matchLabels,
    within: isRoot ? undefined : namespace,
  }
}

/** `true`: evaluated and reported, never enforced. */
export const DRY_RUN_ANNOTATION = 'istio.io/dry-run'
