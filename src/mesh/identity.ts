import type { Identity, Workload } from './model.ts'

/** The identity that a workload proves by mutual TLS. */
export function workloadIdentity(workload: Workload): Identity {
  const { trustDomain, namespace, serviceAccount } = workload
  return { trustDomain, namespace, serviceAccount }
}

/** The full SPIFFE URI, in Istio's form. */
export function identityUri(identity: Identity): string {
  return `spiffe://${identityPrincipal(identity)}`
}

/** The URI without `spiffe://`: what a policy's `principals` are compared with (wire/ztunnel 8.5). */
export function identityPrincipal(identity: Identity): string {
  return `${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`
}

/** Equal in all three parts. */
export function sameIdentity(a: Identity, b: Identity): boolean {
  return (
    a.serviceAccount === b.serviceAccount && a.namespace === b.namespace && a.trustDomain === b.trustDomain
  )
}
