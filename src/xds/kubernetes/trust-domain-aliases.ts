/**
 * Principals of policies, written for one trust domain, as they are to be
 * compared in a mesh that has had other names or still has them: a principal
 * of any of these trust domains means the account under each of them. One of
 * `cluster.local` means the mesh's own, however the mesh is called by now.
 *
 * Node proxies compare principals as they stand, so that aliases have to be
 * written out, as istiod does for its Envoys. A principal that names no trust
 * domain, such as `*` or one that ends in a service account only, and one of a
 * foreign trust domain stay as they are.
 */
export function expandPrincipals(
  principals: readonly string[],
  trustDomains: readonly string[],
): readonly string[] {
  return [...new Set(principals.flatMap((principal) => expand(principal, trustDomains)))]
}

/** Istio's name for the trust domain of the mesh itself, whatever it is called. */
const LOCAL = 'cluster.local'

function expand(principal: string, trustDomains: readonly string[]): readonly string[] {
  const [named = '', ...account] = principal.split('/')
  // Only a whole SPIFFE id has a trust domain at a known place.
  if (account.length !== 4 || named === '*') return [principal]
  if (named !== LOCAL && !trustDomains.some((known) => covers(named, known))) return [principal]
  // A pattern such as `*-mesh` stays one for the trust domains that it covers.
  return trustDomains.map((known) => (covers(named, known) ? principal : [known, ...account].join('/')))
}

/** `*x` ends in x, else exactly this. A pattern that begins with x would end within the trust domain. */
function covers(named: string, trustDomain: string): boolean {
  return named.startsWith('*') ? trustDomain.endsWith(named.slice(1)) : trustDomain === named
}
