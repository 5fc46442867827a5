import type { KubernetesObject } from '../objects.ts'
import type { CheckInput } from './finding.ts'

/** Who there is in a mesh. */
export interface KnownAccounts {
  readonly trustDomains: readonly string[]
  readonly namespaces: ReadonlySet<string>
  /** `namespace/service-account` */
  readonly accounts: ReadonlySet<string>
  /** `trust-domain/ns/namespace/sa/service-account` */
  readonly principals: ReadonlySet<string>
}

/**
 * The accounts that workloads run as, those that the YAML defines, and those called
 * `default`, which every namespace has.
 */
export function knownAccounts({
  objects,
  others,
  workloads,
  trustDomains: given,
}: CheckInput): KnownAccounts {
  const namespaces = new Set(objects.namespaces.keys())
  const accounts = new Set<string>()
  const living: readonly ReadonlyMap<string, KubernetesObject>[] = [objects.pods, objects.services]
  // Not those of policies: a policy in a namespace that nothing lives in is what is to be found.
  for (const kind of living) for (const { metadata } of kind.values()) namespaces.add(metadata.namespace)
  for (const { metadata, spec } of objects.pods.values()) {
    accounts.add(`${metadata.namespace}/${spec.serviceAccountName}`)
  }
  for (const { namespace, serviceAccount } of workloads) {
    namespaces.add(namespace)
    accounts.add(`${namespace}/${serviceAccount}`)
  }
  for (const { group, kind, namespace, name } of others) {
    if (group !== '' || kind !== 'ServiceAccount') continue
    namespaces.add(namespace)
    accounts.add(`${namespace}/${name}`)
  }
  for (const namespace of namespaces) accounts.add(`${namespace}/default`)
  // Policies may call the mesh by Istio's own name for it, whatever it is called.
  const trustDomains = [...new Set([...given, 'cluster.local'])]
  const principals = trustDomains.flatMap((trustDomain) =>
    [...accounts].map((account) => `${trustDomain}/ns/${account.replace('/', '/sa/')}`),
  )
  return { trustDomains, namespaces, accounts, principals: new Set(principals) }
}
