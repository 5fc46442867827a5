/** `spiffe://<trustDomain>/ns/<namespace>/sa/<serviceAccount>`, the only form that Istio uses. */
export interface SpiffeId {
  readonly trustDomain: string
  readonly namespace: string
  readonly serviceAccount: string
}

/** The full URI. */
export function formatSpiffeId(id: SpiffeId): string {
  return `spiffe://${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`
}

/** Undefined when the text is not of Istio's form: exactly `spiffe://`, trust domain, `ns`, namespace, `sa`, account. */
export function parseSpiffeId(uri: string): SpiffeId | undefined {
  if (!uri.startsWith(SCHEME)) return undefined
  const parts = uri.slice(SCHEME.length).split('/')
  const [trustDomain, ns, namespace, sa, serviceAccount] = parts
  if (parts.length !== 5 || ns !== 'ns' || sa !== 'sa') return undefined
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) return undefined
  return { trustDomain, namespace, serviceAccount }
}

const SCHEME = 'spiffe://'
