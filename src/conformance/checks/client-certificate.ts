import { type Check, expect } from '../check.ts'
import type { BadClient } from '../credentials.ts'

interface Row {
  readonly name: string
  readonly kind: BadClient | 'none'
  readonly title: string
  readonly level: Check['level']
  readonly standsOn: string
  readonly explanation: string
}

const ROWS: readonly Row[] = [
  {
    name: 'demanded',
    kind: 'none',
    title: 'serves no client without a certificate',
    level: 'must',
    standsOn: 'Istio: require_client_certificate on every HBONE listener; RFC 8446 section 4.4.2.4',
    explanation:
      'Without it anybody who reaches the port may ask for tunnels, and policy has no identity to judge.',
  },
  {
    name: 'foreign-root',
    kind: 'foreign-root',
    title: 'serves no client whose certificate another root signed',
    level: 'must',
    standsOn: 'RFC 5280 section 6; SPIFFE X509-SVID section 5.2',
    explanation:
      'Anybody can make a CA that signs any name; only the chain to a known root gives the name a meaning.',
  },
  {
    name: 'expired',
    kind: 'expired',
    title: 'serves no client whose certificate has expired',
    level: 'must',
    standsOn: 'RFC 5280 section 6.1.3',
    explanation:
      'Short lives are how a mesh withdraws identities; a stolen key must become useless by itself.',
  },
  {
    name: 'not-yet-valid',
    kind: 'not-yet-valid',
    title: 'serves no client whose certificate is not valid yet',
    level: 'must',
    standsOn: 'RFC 5280 section 6.1.3',
    explanation: 'The other end of the validity period counts as much as the end that everybody thinks of.',
  },
  {
    name: 'other-trust-domain',
    kind: 'other-trust-domain',
    title: 'serves no client of another trust domain',
    level: 'must',
    standsOn:
      'ztunnel: trust domain of the peer must be that of our own leaf; Envoy: URI prefix spiffe://TRUST-DOMAIN/',
    explanation:
      'Roots may be shared between meshes, names may not: the same namespace and account mean another workload there.',
  },
  {
    name: 'no-spiffe-id',
    kind: 'no-spiffe-id',
    title: 'serves no client without a SPIFFE id',
    level: 'must',
    standsOn: 'ztunnel and Envoy: one URI SAN must be of the trust domain',
    explanation: "A certificate of the mesh's CA for a DNS name, such as a webhook's, is no workload's.",
  },
  {
    name: 'server-only',
    kind: 'server-only',
    title: 'serves no client whose certificate is for servers only',
    level: 'should',
    standsOn: 'RFC 5280 section 4.2.1.12; ztunnel demands the clientAuth usage',
    explanation: 'The extended key usage is the CA saying what the key may be used for.',
  },
]

/** Who may not come in. */
export const clientCertificateChecks: readonly Check[] = ROWS.map(({ kind, ...row }) => ({
  ...row,
  name: `client-certificate/${row.name}`,
  ...(kind === 'none' || kind === 'foreign-root' ? {} : { needs: ['ca'] as const }),
  run: async (context) => {
    const credentials = kind === 'none' ? undefined : await context.target.identity.bad(kind)
    const found = await context.attempt({}, credentials)
    return expect(found.kind === 'refused', found.kind === 'refused' ? found.why : 'it is served')
  },
}))
