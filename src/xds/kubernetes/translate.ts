import type { AuthorizationPolicy as MeshPolicy, Service, Workload } from '../../mesh/model.ts'
import { meshConfigOf, NETWORK_LABEL, SYSTEM_NAMESPACE } from './mesh-config.ts'
import type { AuthorizationPolicy, KubernetesObject, KubernetesObjects } from './objects.ts'
import type { Labelled } from './selector.ts'
import type { TranslateContext, TranslateOptions, TranslateWarning } from './translate-context.ts'
import { type PoliciesOf, translateEntryEndpoints, translateWorkloadEntry } from './translate-endpoint.ts'
import { slicedPods, translateEndpointSlice } from './translate-endpoint-slice.ts'
import { translatePeerAuthentications } from './translate-peer-authentication.ts'
import { type AttachedPolicy, translateAuthorizationPolicy } from './translate-policy.ts'
import { translateService } from './translate-service.ts'
import { publishEntries, translateServiceEntry } from './translate-service-entry.ts'
import { translatePod } from './translate-workload.ts'
import { checkGateways } from './waypoint-bindings.ts'

/** The mesh that a set of objects describes, as istiod would publish it. */
export interface MeshResources {
  readonly workloads: readonly Workload[]
  readonly services: readonly Service[]
  readonly policies: readonly MeshPolicy[]
  /** The one in force: as given, else the MeshConfig's, else `istio-system`. */
  readonly rootNamespace: string
  /** The mesh's own, then its aliases. */
  readonly trustDomains: readonly string[]
  readonly warnings: readonly TranslateWarning[]
}

/** Pure: equal objects give equal resources in equal order. */
export function translate(objects: KubernetesObjects, options: TranslateOptions): MeshResources {
  const warnings: TranslateWarning[] = []
  const given = { domain: 'cluster.local', ...options, warn: warnOnce(warnings) }
  const mesh = meshConfigOf(objects, given)
  const rootNamespace = options.rootNamespace ?? mesh?.rootNamespace ?? SYSTEM_NAMESPACE
  const known: TranslateContext = {
    dryRunPolicies: false,
    ...given,
    rootNamespace,
    trustDomainAliases: mesh?.trustDomainAliases ?? [],
    objects,
    network: objects.namespaces.get(SYSTEM_NAMESPACE)?.metadata.labels[NETWORK_LABEL] ?? '',
    published: publishEntries(objects, given),
    slicedPods: new Map(),
  }
  const context: TranslateContext = { ...known, slicedPods: slicedPods(known) }
  checkGateways(context)
  const attached: AttachedPolicy[] = []
  for (const policy of objects.authorizationPolicies.values()) {
    const translated = translateAuthorizationPolicy(policy, context)
    if (translated === undefined) continue
    attached.push(translated)
    warnOfNoEffect(policy, translated, context)
  }
  const mutualTls = translatePeerAuthentications(context)
  const policies = [...attached.map(({ policy }) => policy), ...mutualTls.policies]
  const policiesOf: PoliciesOf = (workload) => [
    ...attached.filter((policy) => policy.selects(workload)).map(({ name }) => name),
    ...mutualTls.attachedTo(workload),
  ]
  return {
    workloads: workloadsOf(policiesOf, context),
    services: servicesOf(context),
    policies,
    rootNamespace,
    trustDomains: [context.trustDomain, ...context.trustDomainAliases],
    warnings,
  }
}

function workloadsOf(policiesOf: PoliciesOf, context: TranslateContext): readonly Workload[] {
  const { pods, workloadEntries, endpointSlices } = context.objects
  return [
    ...[...pods.values()].map((pod) => translatePod(pod, policiesOf(pod), context)),
    ...[...workloadEntries.values()].map((entry) => translateWorkloadEntry(entry, policiesOf, context)),
    ...[...endpointSlices.values()].flatMap((slice) => translateEndpointSlice(slice, context)),
    ...context.published.flatMap((entry) => translateEntryEndpoints(entry, policiesOf, context)),
  ].filter((workload) => workload !== undefined)
}

function servicesOf(context: TranslateContext): readonly Service[] {
  return [
    ...[...context.objects.services.values()].map((service) => translateService(service, context)),
    ...context.published.flatMap((entry) => translateServiceEntry(entry, context)),
  ].filter((service) => service !== undefined)
}

/** In force, but over nobody: a mistyped label or namespace looks like this, and lets through what it should not. */
function warnOfNoEffect(
  policy: AuthorizationPolicy,
  attached: AttachedPolicy,
  context: TranslateContext,
): void {
  const { namespace } = policy.metadata
  const { objects } = context
  const pods: readonly Labelled[] = [
    ...objects.pods.values(),
    ...objects.workloadEntries.values(),
    ...objects.serviceEntries.values(),
  ]
  if (policy.spec.matchLabels !== undefined) {
    if (pods.some((pod) => attached.selects(pod))) return
    const message = 'no pod has these labels at present: the policy applies to nothing'
    context.warn(policy, 'spec.selector.matchLabels', message)
  } else if (
    attached.policy.scope === 'NAMESPACE' &&
    !pods.some((pod) => pod.metadata.namespace === namespace)
  ) {
    const message = `there is no pod in namespace ${namespace} at present: the policy applies to nothing`
    context.warn(policy, 'metadata.namespace', message)
  }
}

/** What is wrong with a namespace would else be said for each of its pods. */
function warnOnce(into: TranslateWarning[]): TranslateContext['warn'] {
  const said = new Map<KubernetesObject, Set<string>>()
  return (object, field, message) => {
    const before = said.get(object) ?? new Set()
    said.set(object, before)
    if (before.has(`${field} ${message}`)) return
    before.add(`${field} ${message}`)
    into.push({ object, field, message })
  }
}
