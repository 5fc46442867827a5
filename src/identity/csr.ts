import { KeyObject, sign, type webcrypto } from 'node:crypto'
import { bitString, contextTag, integer, objectId, octetString, sequence, set, TRUE } from './der.ts'
import { subjectPublicKeyInfo } from './keys.ts'
import { derToPem } from './pem.ts'
import { formatSpiffeId, type SpiffeId } from './spiffe-id.ts'

/**
 * A PKCS#10 request (RFC 2986) in PEM as ztunnel makes it: empty subject, the
 * SPIFFE id as the only name in a critical SAN extension, ECDSA with SHA-256.
 */
export async function createCsr(id: SpiffeId, keys: webcrypto.CryptoKeyPair): Promise<string> {
  // GeneralName: uniformResourceIdentifier [6] IA5String; a SPIFFE id is ASCII.
  const uri = contextTag(6, Buffer.from(formatSpiffeId(id), 'ascii'), 'primitive')
  const extension = sequence(SUBJECT_ALT_NAME, TRUE, octetString(sequence(uri)))
  const attributes = sequence(EXTENSION_REQUEST, set(sequence(extension)))
  const info = sequence(
    integer(VERSION_1),
    sequence(),
    subjectPublicKeyInfo(keys.publicKey),
    contextTag(0, attributes, 'constructed'),
  )
  const signature = sign('sha256', info, KeyObject.from(keys.privateKey))
  return derToPem(sequence(info, sequence(ECDSA_WITH_SHA256), bitString(signature)), 'CERTIFICATE REQUEST')
}

const VERSION_1 = 0
/** RFC 5280 section 4.2.1.6. */
const SUBJECT_ALT_NAME = objectId(2, 5, 29, 17)
/** PKCS#9 extensionRequest, RFC 2985 section 5.4.2. */
const EXTENSION_REQUEST = objectId(1, 2, 840, 113549, 1, 9, 14)
/** RFC 5758 section 3.2: no parameters. */
const ECDSA_WITH_SHA256 = objectId(1, 2, 840, 10045, 4, 3, 2)
