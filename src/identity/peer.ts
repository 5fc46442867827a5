import type { X509Certificate } from 'node:crypto'
import { IdentityError } from './errors.ts'
import { formatSpiffeId, parseSpiffeId, type SpiffeId } from './spiffe-id.ts'

/**
 * The SPIFFE ids among a certificate's URI SANs, in the certificate's order.
 * Other SANs, and URIs that are not of Istio's form, are left out.
 */
export function peerSpiffeIds(cert: X509Certificate): SpiffeId[] {
  const ids: SpiffeId[] = []
  for (const name of splitAltNames(cert.subjectAltName ?? '')) {
    // A quoted value holds a character that no SPIFFE id may hold.
    if (!name.startsWith(URI_PREFIX)) continue
    const id = parseSpiffeId(name.slice(URI_PREFIX.length))
    if (id !== undefined) ids.push(id)
  }
  return ids
}

/** Who the peer is: the first SPIFFE id of its leaf (ztunnel's rule). Undefined when it has none. */
export function peerIdentity(cert: X509Certificate): SpiffeId | undefined {
  return peerSpiffeIds(cert)[0]
}

/**
 * For the side that dials: the server must prove one of the expected ids (full
 * `spiffe://` text). Returns the error to fail the handshake with, or undefined.
 */
export function verifyServerIdentity(
  cert: X509Certificate,
  expected: readonly string[],
): IdentityError | undefined {
  const got = peerSpiffeIds(cert).map(formatSpiffeId)
  if (got.some((id) => expected.includes(id))) return undefined
  return new IdentityError(
    'PEER_MISMATCH',
    `identity verification error: peer did not present the expected SAN (${expected.join(',')}), got ${got.join(',')}`,
  )
}

/** For the side that accepts: one of the client's SPIFFE ids must be of our trust domain. */
export function verifyPeerTrustDomain(cert: X509Certificate, trustDomain: string): IdentityError | undefined {
  const ids = peerSpiffeIds(cert)
  if (ids.some((id) => id.trustDomain === trustDomain)) return undefined
  const got = ids.map(formatSpiffeId).join(',')
  return new IdentityError(
    'PEER_MISMATCH',
    `identity verification error: peer did not present the expected trustdomain (${trustDomain}), got ${got}`,
  )
}

/**
 * Splits Node's text form of a SAN extension. Node writes a value that holds a
 * comma, a quote or an unprintable character as a JSON string literal, so a
 * separator outside quotes is a real one: splitting at every `, ` instead lets
 * a DNS name `x, URI:spiffe://…` forge an identity (CVE-2021-44532).
 */
function splitAltNames(text: string): string[] {
  const names: string[] = []
  let start = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (quoted && char === '\\') at++
    else if (char === '"') quoted = !quoted
    else if (char === ',' && !quoted) {
      names.push(text.slice(start, at))
      start = text[at + 1] === ' ' ? at + 2 : at + 1
    }
  }
  names.push(text.slice(start))
  return names
}

const URI_PREFIX = 'URI:'
