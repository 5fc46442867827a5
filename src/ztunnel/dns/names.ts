/**
 * The names under which a queried name is looked up, in order, as text in lower case without the final dot.
 * Pure; nothing here knows of services.
 */

/** What a queried name may stand for. */
export interface Candidate {
  readonly name: string
  /** What was left of the queried name when a search domain was taken off; undefined when none was. */
  readonly stripped: string | undefined
}

export interface NameContext {
  /** Of the workload that asks. */
  readonly namespace: string
  /** CLUSTER_DOMAIN. */
  readonly clusterDomain: string
  readonly searchDomains: readonly string[]
}

/** What Kubernetes writes into the resolv.conf of a pod; in shared mode nobody reads the pod's own (wire/ztunnel 12.3). */
export function kubernetesSearchDomains(namespace: string, clusterDomain: string): readonly string[] {
  return [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain]
}

/** Lower case, without the final dot: the form in which names are compared (RFC 4343). */
export function canonicalName(name: string): string {
  const lower = name.toLowerCase()
  return lower.endsWith('.') ? lower.slice(0, -1) : lower
}

/**
 * A name, its Kubernetes expansions, and the same for what is left of it without each of the search domains: a client
 * that appends its search list to `web.shop` is answered at the first attempt (wire/ztunnel 12.3). Each name once.
 */
export function candidates(name: string, context: NameContext): readonly Candidate[] {
  const found = new Map<string, Candidate>()
  const add = (candidate: string, stripped: string | undefined): void => {
    if (!found.has(candidate)) found.set(candidate, { name: candidate, stripped })
  }
  const addExpanded = (base: string, stripped: string | undefined): void => {
    add(base, stripped)
    for (const expanded of expansions(base, context)) add(expanded, stripped)
  }
  addExpanded(name, undefined)
  for (const domain of context.searchDomains) {
    const stripped = withoutDomain(name, domain)
    if (stripped !== undefined) addExpanded(stripped, stripped)
  }
  return [...found.values()]
}

/** A hostname and whether it is a pattern that stands for the name. */
export interface HostnamePattern {
  readonly hostname: string
  readonly wildcard: boolean
}

/** `a.b.c`, then `*.b.c`, then `*.c`; never a bare `*` (wire/ztunnel 12.4). */
export function* hostnamePatterns(name: string): Iterable<HostnamePattern> {
  yield { hostname: name, wildcard: false }
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
    yield { hostname: `*${name.slice(dot)}`, wildcard: true }
  }
}

/** The full names that Kubernetes users shorten to this one, by the number of its labels. */
function expansions(name: string, { namespace, clusterDomain }: NameContext): readonly string[] {
  const inCluster = `${name}.${clusterDomain}`
  const asService = `${name}.svc.${clusterDomain}`
  const inNamespace = `${name}.${namespace}.svc.${clusterDomain}`
  const endsInSvc = name.endsWith('.svc')
  switch (name.split('.').length) {
    case 1:
      return [inNamespace]
    case 2:
      return [asService, inNamespace]
    case 3:
      return endsInSvc ? [inCluster, asService] : [asService]
    case 4:
      return endsInSvc ? [inCluster] : []
    default:
      return []
  }
}

/** Undefined when `name` does not lie below `domain`. */
function withoutDomain(name: string, domain: string): string | undefined {
  const suffix = `.${domain}`
  return name.length > suffix.length && name.endsWith(suffix) ? name.slice(0, -suffix.length) : undefined
}
