import type { ServiceKey } from '../../mesh/model.ts'
import type { Service } from './objects.ts'
import type { ServiceEntry } from './objects-networking.ts'
import type { BackendReference, ParentReference } from './objects-route.ts'
import type { TranslateContext } from './translate-context.ts'

/** A Service, or the hosts of a ServiceEntry, that a route refers to. */
export interface ReferredService {
  readonly object: Service | ServiceEntry
  readonly namespace: string
  /** One of a Service; of a ServiceEntry one for each host that it speaks for. */
  readonly keys: readonly ServiceKey[]
  /** Of TCP. */
  readonly ports: readonly { readonly name: string; readonly port: number }[]
}

/** What a reference leads to, or why it leads nowhere. */
export type Referred = ReferredService | { readonly reason: string }

/** The Service that a route is attached to, or sends to. */
export function referredService(
  { group, kind, name, namespace: given }: ParentReference | BackendReference,
  routeNamespace: string,
  context: TranslateContext,
): Referred {
  const namespace = given ?? routeNamespace
  const key = `${namespace}/${name}`
  if (kind === 'Service' && group === '') {
    const service = context.objects.services.get(key)
    return service === undefined ? { reason: `there is no Service ${key}` } : ofService(service, context)
  }
  if (kind === 'ServiceEntry' && group === ISTIO_GROUP) {
    const published = context.published.find(({ entry }) => isNamed(entry, namespace, name))
    return published === undefined ? { reason: `there is no ServiceEntry ${key}` } : ofEntry(published)
  }
  if (kind === 'Hostname' && group === ISTIO_GROUP) return ofHostname(name, routeNamespace, context)
  return { reason: `${kind} of group "${group}" cannot be referred to: expected Service of group ""` }
}

const ISTIO_GROUP = 'networking.istio.io'

function ofService(service: Service, context: TranslateContext): Referred {
  const { name, namespace } = service.metadata
  if (service.spec.type === 'ExternalName') {
    return {
      reason: `Service ${namespace}/${name} is an ExternalName, which is an alias and has no endpoints`,
    }
  }
  return {
    object: service,
    namespace,
    keys: [`${namespace}/${name}.${namespace}.svc.${context.domain}`],
    ports: service.spec.ports.filter(({ protocol }) => protocol === 'TCP'),
  }
}

function ofEntry({ entry, hosts }: TranslateContext['published'][number]): ReferredService {
  const { namespace } = entry.metadata
  return {
    object: entry,
    namespace,
    keys: hosts.map(({ host }) => `${namespace}/${host}` as const),
    ports: entry.spec.ports.map(({ name, number }) => ({ name, port: number })),
  }
}

/** Istio's way to name a host as a backend: as a client of the route's namespace would find it. */
function ofHostname(host: string, namespace: string, context: TranslateContext): Referred {
  const service = [...context.objects.services.values()].find(
    ({ metadata }) => `${metadata.name}.${metadata.namespace}.svc.${context.domain}` === host,
  )
  if (service !== undefined) return ofService(service, context)
  const entries = context.published.filter(({ hosts }) => hosts.some((one) => one.host === host))
  const found =
    entries.find(({ entry }) => entry.metadata.namespace === namespace) ??
    entries.find(({ hosts }) => hosts.some((one) => one.host === host && one.canonical))
  if (found === undefined) return { reason: `there is no service with the hostname ${host}` }
  return { ...ofEntry(found), keys: [`${found.entry.metadata.namespace}/${host}`] }
}

function isNamed({ metadata }: ServiceEntry, namespace: string, name: string): boolean {
  return metadata.namespace === namespace && metadata.name === name
}
