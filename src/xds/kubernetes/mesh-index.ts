import type { KubernetesObjects, Service } from './objects.ts'
import type { Gateway } from './objects-gateway.ts'
import { SelectorIndex } from './selector-index.ts'
import type { PublishedEntry } from './translate-service-entry.ts'
import { accountOf, isWaypoint } from './waypoint-bindings.ts'

/** What is looked up for each of many workloads. */
export interface MeshIndex {
  /** The services that select something by its labels. */
  readonly services: SelectorIndex<Service>
  /** The ServiceEntries that do. */
  readonly entries: SelectorIndex<PublishedEntry>
  /** By `namespace/service-account`: the waypoint of the account's pods. */
  readonly accountWaypoints: ReadonlyMap<string, Gateway>
}

export function indexOf(
  objects: Pick<KubernetesObjects, 'services' | 'gateways'>,
  published: readonly PublishedEntry[],
): MeshIndex {
  const accountWaypoints = new Map<string, Gateway>()
  for (const gateway of objects.gateways.values()) {
    const account = isWaypoint(gateway) ? accountOf(gateway) : undefined
    const key = `${gateway.metadata.namespace}/${account}`
    if (account !== undefined && !accountWaypoints.has(key)) accountWaypoints.set(key, gateway)
  }
  return {
    services: servicesBySelector(objects),
    entries: new SelectorIndex(
      published.flatMap((item) => {
        const { metadata, spec } = item.entry
        const selector = spec.workloadSelector
        return selector === undefined ? [] : [{ item, namespace: metadata.namespace, selector }]
      }),
    ),
    accountWaypoints,
  }
}

/** Without a selector, endpoints are somebody else's to say; an ExternalName has none. */
export function servicesBySelector({
  services,
}: Pick<KubernetesObjects, 'services'>): SelectorIndex<Service> {
  return new SelectorIndex(
    [...services.values()].flatMap((item) => {
      const { selector, type } = item.spec
      if (type === 'ExternalName' || Object.keys(selector).length === 0) return []
      return [{ item, namespace: item.metadata.namespace, selector }]
    }),
  )
}
