import { objectKey } from './collect-objects.ts'
import type { KubernetesObject } from './objects.ts'
import type { TranslateContext } from './translate-context.ts'

/**
 * For each namespace, all that the translation of an object in it depends on,
 * besides the object itself and the options: one token that stays the same
 * for as long as nothing of that has changed. Objects are compared by
 * identity, as those of files that did not change stay the same.
 */
export class Surroundings {
  #shared: Known = { parts: [], token: {} }
  #namespaces = new Map<string, Known>()

  /** The token by namespace, for the given state of the mesh. */
  update(context: TranslateContext): (namespace: string) => object {
    this.#shared = kept(this.#shared, sharedParts(context))
    const shared = this.#shared.token
    const byNamespace = partsByNamespace(context)
    const next = new Map<string, Known>()
    for (const [namespace, parts] of byNamespace) {
      next.set(namespace, kept(this.#namespaces.get(namespace), [shared, ...parts]))
    }
    this.#namespaces = next
    return (namespace) => next.get(namespace)?.token ?? shared
  }
}

interface Known {
  readonly parts: readonly unknown[]
  readonly token: object
}

function kept(known: Known | undefined, parts: readonly unknown[]): Known {
  const same =
    known?.parts.length === parts.length && known.parts.every((part, index) => part === parts[index])
  return same ? known : { parts, token: {} }
}

/** What reaches across namespaces: settings, waypoints, nodes, the root namespace's policies. */
function sharedParts(context: TranslateContext): readonly unknown[] {
  const { objects, rootNamespace, network, trustDomainAliases } = context
  const { gateways, services, nodes, authorizationPolicies, peerAuthentications } = objects
  const ofRoot = ({ metadata }: KubernetesObject) => metadata.namespace === rootNamespace
  return [
    rootNamespace,
    network,
    trustDomainAliases.join(),
    ...gateways.values(),
    // A Gateway's address may be that of the Service of its name.
    ...[...gateways.values()].map((gateway) => services.has(objectKey(gateway))),
    ...nodes.values(),
    ...[...authorizationPolicies.values()].filter(ofRoot),
    ...[...peerAuthentications.values()].filter(ofRoot),
  ]
}

/** What is within: the namespace's labels, and whatever there selects, binds or names. */
function partsByNamespace({ objects, published }: TranslateContext): ReadonlyMap<string, readonly unknown[]> {
  const byNamespace = new Map<string, unknown[]>()
  const add = (namespace: string, part: unknown) => {
    const parts = byNamespace.get(namespace)
    if (parts === undefined) byNamespace.set(namespace, [part])
    else parts.push(part)
  }
  for (const namespace of objects.namespaces.values()) add(namespace.metadata.name, namespace)
  const { services, endpointSlices, authorizationPolicies, peerAuthentications } = objects
  const kinds: readonly ReadonlyMap<string, KubernetesObject>[] = [
    services,
    endpointSlices,
    authorizationPolicies,
    peerAuthentications,
  ]
  for (const kind of kinds) for (const object of kind.values()) add(object.metadata.namespace, object)
  for (const { entry, hosts } of published) {
    add(entry.metadata.namespace, entry)
    // Which hosts it speaks for is decided among all namespaces.
    add(entry.metadata.namespace, hosts.map(({ host, canonical }) => `${host} ${canonical}`).join())
  }
  return byNamespace
}
