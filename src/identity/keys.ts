import { createPrivateKey, KeyObject, webcrypto } from 'node:crypto'

/**
 * A fresh ECDSA P-256 pair, what ztunnel uses for every workload certificate.
 * Lives in memory only. Extractable because OpenSSL wants its text where a TLS
 * context is built.
 */
export async function generateKeyPair(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
}

/**
 * PKCS#8 PEM of a private key. For this folder only: `index.ts` does not
 * export it.
 */
export function privateKeyPem(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** DER SubjectPublicKeyInfo of a public key. */
export function subjectPublicKeyInfo(key: webcrypto.CryptoKey): Buffer<ArrayBuffer> {
  return Buffer.from(KeyObject.from(key).export({ type: 'spki', format: 'der' }))
}

/**
 * A CA's private key as a WebCrypto signer: RSA, EC P-256, P-384 or P-521, in
 * PKCS#8, PKCS#1 or SEC 1. Throws for anything else, with the reason.
 */
export function importSigningKey(pem: string): webcrypto.CryptoKey {
  const key = createPrivateKey(pem)
  const details = key.asymmetricKeyDetails
  if (key.asymmetricKeyType === 'rsa') {
    const bits = details?.modulusLength ?? 0
    if (bits < MIN_RSA_BITS) throw new Error(`RSA key of ${bits} bits; at least ${MIN_RSA_BITS} are needed`)
    return key.toCryptoKey({ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, false, ['sign'])
  }
  if (key.asymmetricKeyType === 'ec') {
    const namedCurve = WEB_CURVES.get(details?.namedCurve ?? '')
    if (namedCurve === undefined)
      throw new Error(`EC key on curve ${details?.namedCurve}; use P-256 or P-384`)
    return key.toCryptoKey({ name: 'ECDSA', namedCurve }, false, ['sign'])
  }
  throw new Error(
    `key of type ${key.asymmetricKeyType}; use an RSA or EC key, the types that every mesh peer accepts`,
  )
}

/** Matches the strength of the curve, as RFC 5656 section 6.2.1 pairs them. */
export function signatureHash(key: webcrypto.CryptoKey): 'SHA-256' | 'SHA-384' | 'SHA-512' {
  const algorithm: webcrypto.KeyAlgorithm & { namedCurve?: string } = key.algorithm
  if (algorithm.namedCurve === 'P-384') return 'SHA-384'
  return algorithm.namedCurve === 'P-521' ? 'SHA-512' : 'SHA-256'
}

/** Below this OpenSSL's default security level refuses the chain (NIST SP 800-131A). */
export const MIN_RSA_BITS = 2048
/** Above this a peer's key only burns our time: verification costs grow with the square. */
export const MAX_RSA_BITS = 8192

/** OpenSSL's names of curves → WebCrypto's. */
const WEB_CURVES: ReadonlyMap<string, 'P-256' | 'P-384' | 'P-521'> = new Map([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
  ['secp521r1', 'P-521'],
])
