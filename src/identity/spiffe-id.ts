/** `spiffe://<trustDomain>/ns/<namespace>/sa/<serviceAccount>`, the only form that Istio uses. */
export interface SpiffeId {
  readonly trustDomain: string
  readonly namespace: string
  readonly serviceAccount: string
}

/** The full URI. */
export function formatSpiffeId(id: SpiffeId): string {
  return `${SCHEME}${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`
}

/** Undefined when the text is not of Istio's form: exactly `spiffe://`, trust domain, `ns`, namespace, `sa`, account. */
export function parseSpiffeId(uri: string): SpiffeId | undefined {
  if (!uri.startsWith(SCHEME)) return undefined
  // A hostile URI may hold any number of slashes: one piece too many is enough to know.
  const parts = uri.slice(SCHEME.length).split('/', 6)
  const [trustDomain, ns, namespace, sa, serviceAccount] = parts
  if (parts.length !== 5 || ns !== 'ns' || sa !== 'sa') return undefined
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) return undefined
  return { trustDomain, namespace, serviceAccount }
}

/**
 * Why an id must not go into a certificate, or undefined when it may. Parsing
 * is as lenient as Istio's (empty segments pass); signing is as strict as the
 * SPIFFE-ID standard (sections 2.1 to 2.3), so that no id can be made that two
 * readers understand differently.
 */
export function spiffeIdProblem(id: SpiffeId): string | undefined {
  if (!TRUST_DOMAIN.test(id.trustDomain)) {
    return `trust domain "${id.trustDomain}" is not 1 to 255 lower-case letters, digits, dots, dashes, underscores`
  }
  if (!isPathSegment(id.namespace)) return `namespace "${id.namespace}" ${SEGMENT_RULE}`
  if (!isPathSegment(id.serviceAccount)) return `service account "${id.serviceAccount}" ${SEGMENT_RULE}`
  return undefined
}

function isPathSegment(text: string): boolean {
  return PATH_SEGMENT.test(text) && text !== '.' && text !== '..'
}

const SCHEME = 'spiffe://'
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/
/** 253 characters: a Kubernetes name at its longest. The whole id stays under SPIFFE's 2,048 bytes. */
const PATH_SEGMENT = /^[a-zA-Z0-9._-]{1,253}$/
const SEGMENT_RULE = 'is not 1 to 253 letters, digits, dots, dashes, underscores'
