import type { webcrypto } from 'node:crypto'
import { formatSpiffeId, type SpiffeId } from './spiffe-id.ts'
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from './x509.ts'

/**
 * A PKCS#10 request (RFC 2986) in PEM as ztunnel makes it: empty subject, the
 * SPIFFE id as the only name in a critical SAN extension, SHA-256.
 */
export async function createCsr(id: SpiffeId, keys: webcrypto.CryptoKeyPair): Promise<string> {
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: formatSpiffeId(id) }], true)],
  })
  return `${request.toString('pem')}\n`
}
