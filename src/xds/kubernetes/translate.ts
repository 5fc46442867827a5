import type { WaypointPolicy } from '../../mesh/http/policy-model.ts'
import { type Route, routeName } from '../../mesh/http/route-model.ts'
import type { AuthorizationPolicy as MeshPolicy, Service, Workload } from '../../mesh/model.ts'
import { policyName, serviceKey } from '../../mesh/names.ts'
import { configuredTrustDomain, meshConfigOf, NETWORK_LABEL, SYSTEM_NAMESPACE } from './mesh-config.ts'
import { indexOf } from './mesh-index.ts'
import type { AuthorizationPolicy, KubernetesObject, KubernetesObjects } from './objects.ts'
import type { Labelled } from './selector.ts'
import { SelectorIndex } from './selector-index.ts'
import { Surroundings } from './surroundings.ts'
import type { TranslateContext, TranslateOptions, TranslateWarning } from './translate-context.ts'
import { translateEntryEndpoints, translateWorkloadEntry } from './translate-endpoint.ts'
import { slicedPods, translateEndpointSlice } from './translate-endpoint-slice.ts'
import { translatePeerAuthentications } from './translate-peer-authentication.ts'
import { type AttachedPolicy, translateAuthorizationPolicy } from './translate-policy.ts'
import { translateRoutes } from './translate-route.ts'
import { translateService } from './translate-service.ts'
import { publishEntries, translateServiceEntry } from './translate-service-entry.ts'
import { translateWaypointPolicy } from './translate-waypoint-policy.ts'
import { translatePod } from './translate-workload.ts'
import { KeptResources, TranslationMemo } from './translation-memo.ts'
import { checkGateways } from './waypoint-bindings.ts'

/** The mesh that a set of objects describes, as istiod would publish it. */
export interface MeshResources {
  readonly workloads: readonly Workload[]
  readonly services: readonly Service[]
  readonly policies: readonly MeshPolicy[]
  /** Those that are bound to something (`targetRefs`). */
  readonly waypointPolicies: readonly WaypointPolicy[]
  readonly routes: readonly Route[]
  /** The one in force: as given, else the MeshConfig's, else `istio-system`. */
  readonly rootNamespace: string
  /** The mesh's own, then its aliases. */
  readonly trustDomains: readonly string[]
  readonly warnings: readonly TranslateWarning[]
}

/** Pure: equal objects give equal resources in equal order. */
export function translate(objects: KubernetesObjects, options: TranslateOptions): MeshResources {
  return new Translator(options).translate(objects)
}

/**
 * Translates one state of a mesh after the other. What has not changed from
 * one to the next is the same object in both results, and little work.
 */
export class Translator {
  readonly #options: TranslateOptions
  /** Of the first state, for good: an authority issues for one. */
  #trustDomain: string | undefined
  readonly #surroundings = new Surroundings()
  readonly #workloads = new TranslationMemo<KubernetesObject, TranslatedWorkloads>()
  readonly #services = new TranslationMemo<KubernetesObject, readonly (Service | undefined)[]>()
  readonly #policies = new TranslationMemo<AuthorizationPolicy, AttachedPolicy | undefined>()
  readonly #waypointPolicies = new TranslationMemo<AuthorizationPolicy, WaypointPolicy | undefined>()
  readonly #keptWorkloads = new KeptResources<Workload>(({ uid }) => uid)
  readonly #keptServices = new KeptResources<Service>(serviceKey)
  readonly #keptPolicies = new KeptResources<MeshPolicy>(policyName)
  readonly #keptWaypointPolicies = new KeptResources<WaypointPolicy>(policyName)
  readonly #keptRoutes = new KeptResources<Route>(routeName)

  constructor(options: TranslateOptions) {
    this.#options = options
  }

  translate(objects: KubernetesObjects): MeshResources {
    const warnings: TranslateWarning[] = []
    this.#trustDomain ??= this.#options.trustDomain ?? configuredTrustDomain(objects)
    const options = { ...this.#options, trustDomain: this.#trustDomain }
    const context = contextOf(objects, options, warnOnce(warnings))
    const tokenOf = this.#surroundings.update(context)
    checkGateways(context)
    const attached = this.#attachedPolicies(context, tokenOf)
    const mutualTls = translatePeerAuthentications(context)
    const selecting = new SelectorIndex(
      attached.flatMap(({ name, selector, within }) =>
        selector === undefined ? [] : [{ item: name, namespace: within, selector }],
      ),
    )
    const policiesOf: PoliciesOf = (workload) => [
      ...selecting.matching(workload),
      ...mutualTls.attachedTo(workload),
    ]
    const translated = this.#translatedWorkloads(policiesOf, context, tokenOf)
    warnOfNoEffect(attached, translated, context)
    return {
      workloads: this.#keptWorkloads.keep(translated.flatMap(({ workloads }) => workloads)),
      services: this.#keptServices.keep(this.#translatedServices(context, tokenOf)),
      policies: this.#keptPolicies.keep([...attached.map(({ policy }) => policy), ...mutualTls.policies]),
      waypointPolicies: this.#keptWaypointPolicies.keep(this.#boundPolicies(context, tokenOf)),
      routes: this.#keptRoutes.keep(translateRoutes(context)),
      rootNamespace: context.rootNamespace,
      trustDomains: [context.trustDomain, ...context.trustDomainAliases],
      warnings,
    }
  }

  #attachedPolicies(context: TranslateContext, tokenOf: TokenOf): readonly AttachedPolicy[] {
    return [...context.objects.authorizationPolicies.values()]
      .map((policy) =>
        this.#policies.translate(
          policy,
          tokenOf(policy.metadata.namespace),
          context,
          translateAuthorizationPolicy,
        ),
      )
      .filter((policy) => policy !== undefined)
  }

  #boundPolicies(context: TranslateContext, tokenOf: TokenOf): readonly WaypointPolicy[] {
    const { authorizationPolicies } = context.objects
    return [...authorizationPolicies.values()]
      .map((policy) => {
        const token = tokenOf(policy.metadata.namespace)
        return this.#waypointPolicies.translate(policy, token, context, translateWaypointPolicy)
      })
      .filter((policy) => policy !== undefined)
  }

  #translatedWorkloads(
    policiesOf: PoliciesOf,
    context: TranslateContext,
    tokenOf: TokenOf,
  ): readonly TranslatedWorkloads[] {
    const { pods, workloadEntries, endpointSlices } = context.objects
    const translated: TranslatedWorkloads[] = []
    const add = <O extends KubernetesObject>(object: O, workloads: WorkloadsOf<O>) => {
      const { namespace } = object.metadata
      const translate = (_: KubernetesObject, within: TranslateContext): TranslatedWorkloads => {
        // A slice's addresses have no policies: nothing arrives there through a proxy.
        const policies = object.kind === 'EndpointSlice' ? [] : policiesOf(object)
        return { namespace, policies, workloads: workloads(object, policies, within) }
      }
      translated.push(this.#workloads.translate(object, tokenOf(namespace), context, translate))
    }
    for (const pod of pods.values()) {
      add(pod, (pod, policies, within) => [translatePod(pod, policies, within) ?? []].flat())
    }
    for (const entry of workloadEntries.values()) {
      add(entry, (entry, policies, within) => [translateWorkloadEntry(entry, policies, within)])
    }
    for (const slice of endpointSlices.values()) {
      add(slice, (slice, _, within) => translateEndpointSlice(slice, within))
    }
    for (const published of context.published) {
      add(published.entry, (_, policies, within) => translateEntryEndpoints(published, policies, within))
    }
    return translated
  }

  #translatedServices(context: TranslateContext, tokenOf: TokenOf): readonly Service[] {
    const translate = <O extends KubernetesObject>(
      object: O,
      services: (object: O, within: TranslateContext) => readonly (Service | undefined)[],
    ) =>
      this.#services.translate(object, tokenOf(object.metadata.namespace), context, (_, within) =>
        services(object, within),
      )
    return [
      ...[...context.objects.services.values()].flatMap((service) =>
        translate(service, (service, within) => [translateService(service, within)]),
      ),
      ...context.published.flatMap((published) =>
        translate(published.entry, (_, within) => translateServiceEntry(published, within)),
      ),
    ].filter((service) => service !== undefined)
  }
}

/** What one object becomes. */
interface TranslatedWorkloads {
  readonly namespace: string
  /** Names of the selector-scoped policies that apply to the object. */
  readonly policies: readonly string[]
  readonly workloads: readonly Workload[]
}

type WorkloadsOf<O> = (
  object: O,
  policies: readonly string[],
  context: TranslateContext,
) => readonly Workload[]
type PoliciesOf = (workload: Labelled) => readonly string[]
type TokenOf = (namespace: string) => object

function contextOf(
  objects: KubernetesObjects,
  options: TranslateOptions & { readonly trustDomain: string },
  warn: TranslateContext['warn'],
): TranslateContext {
  const given = { domain: 'cluster.local', dryRunPolicies: false, ...options, warn }
  const mesh = meshConfigOf(objects, given)
  const published = publishEntries(objects, given)
  const known: TranslateContext = {
    ...given,
    rootNamespace: options.rootNamespace ?? mesh?.rootNamespace ?? SYSTEM_NAMESPACE,
    trustDomainAliases: mesh?.trustDomainAliases ?? [],
    objects,
    network: objects.namespaces.get(SYSTEM_NAMESPACE)?.metadata.labels[NETWORK_LABEL] ?? '',
    published,
    index: indexOf(objects, published),
    slicedPods: new Map(),
  }
  return { ...known, slicedPods: slicedPods(known) }
}

/** In force, but over nobody: a mistyped label or namespace looks like this, and lets through what it should not. */
function warnOfNoEffect(
  attached: readonly AttachedPolicy[],
  translated: readonly TranslatedWorkloads[],
  context: TranslateContext,
): void {
  const used = new Set<string>()
  const inhabited = new Set<string>()
  for (const { namespace, policies } of translated) {
    inhabited.add(namespace)
    for (const name of policies) used.add(name)
  }
  for (const { object, name, selector, policy } of attached) {
    if (selector !== undefined) {
      if (used.has(name)) continue
      const message = 'no pod has these labels at present: the policy applies to nothing'
      context.warn(object, 'spec.selector.matchLabels', message)
    } else if (policy.scope === 'NAMESPACE' && !inhabited.has(policy.namespace)) {
      const message = `there is no pod in namespace ${policy.namespace} at present: the policy applies to nothing`
      context.warn(object, 'metadata.namespace', message)
    }
  }
}

/** What is wrong with a namespace would else be said for each of its pods. */
function warnOnce(into: TranslateWarning[]): TranslateContext['warn'] {
  const said = new Map<KubernetesObject, Set<string>>()
  return (object, field, message, other) => {
    const before = said.get(object) ?? new Set()
    said.set(object, before)
    if (before.has(`${field} ${message}`)) return
    before.add(`${field} ${message}`)
    into.push({ object, field, message, ...(other && { other }) })
  }
}
