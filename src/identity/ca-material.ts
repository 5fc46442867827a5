import { randomBytes, type webcrypto } from 'node:crypto'
import { signatureHash } from './keys.ts'
import { type Extension, type JsonName, type ParsedCertificate, x509 } from './x509.ts'

/** The parts of a CA, already checked against each other. */
export interface CaParts {
  /** The certificate that signs, PEM. */
  readonly issuerPem: string
  readonly issuerKey: webcrypto.CryptoKey
  /** From the issuer towards the root, PEM each, without the root. Empty when the root itself signs. */
  readonly intermediatesPem: readonly string[]
  /** Every root that peers shall trust, PEM each. */
  readonly rootsPem: readonly string[]
  /** What an operator should look at although it works. */
  readonly warnings?: readonly string[]
}

/** What one certificate shall say. */
export interface CertificateTemplate {
  /** Empty when left out; the SAN then names the subject. */
  readonly subject?: JsonName
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Buffer<ArrayBuffer>
  readonly notBefore: Date
  readonly notAfter: Date
  readonly extensions: readonly Extension[]
}

/** A CA's certificates and the key that only it can use. */
export class CaMaterial {
  /** Every root, one PEM text: what a client is given to trust us. */
  readonly rootsPem: string
  /** The same, PEM each. */
  readonly roots: readonly string[]
  /** From the issuer towards the root, PEM each, without the root. */
  readonly intermediatesPem: readonly string[]
  readonly issuerPem: string
  /** The issuer's subject as text, e.g. `CN=Intermediate CA, O=cluster.local`. */
  readonly subject: string
  /** The earliest end of the issuer and its intermediates: nothing signed here outlives it. */
  readonly notAfter: Date
  readonly warnings: readonly string[]
  readonly #issuer: ParsedCertificate
  readonly #key: webcrypto.CryptoKey

  constructor(parts: CaParts) {
    this.roots = parts.rootsPem
    this.rootsPem = parts.rootsPem.join('')
    this.intermediatesPem = parts.intermediatesPem
    this.issuerPem = parts.issuerPem
    this.warnings = parts.warnings ?? []
    const { X509Certificate } = x509()
    this.#issuer = new X509Certificate(parts.issuerPem)
    this.#key = parts.issuerKey
    this.subject = this.#issuer.subject
    const ends = [parts.issuerPem, ...parts.intermediatesPem].map((pem) =>
      new X509Certificate(pem).notAfter.getTime(),
    )
    this.notAfter = new Date(Math.min(...ends))
  }

  /** Signs, and returns PEM. The issuer name and the authority key id are the CA's own, byte for byte. */
  async signCertificate(template: CertificateTemplate): Promise<string> {
    const { AuthorityKeyIdentifierExtension, SubjectKeyIdentifierExtension, X509CertificateGenerator } =
      x509()
    const extensions = [...template.extensions]
    const keyId = this.#issuer.getExtension(SubjectKeyIdentifierExtension)?.keyId
    if (keyId !== undefined) extensions.push(new AuthorityKeyIdentifierExtension(keyId))
    const cert = await X509CertificateGenerator.create({
      serialNumber: randomSerialNumber(),
      issuer: this.#issuer.subjectName,
      ...(template.subject === undefined ? {} : { subject: template.subject }),
      notBefore: template.notBefore,
      notAfter: template.notAfter,
      publicKey: template.publicKey,
      signingKey: this.#key,
      signingAlgorithm: { name: this.#key.algorithm.name, hash: signatureHash(this.#key) },
      extensions,
    })
    return `${cert.toString('pem')}\n`
  }
}

/** Hex: positive, 126 random bits (CA/Browser Forum requires at least 64, RFC 5280 allows 20 octets). */
export function randomSerialNumber(): string {
  const serial = randomBytes(16)
  // A fixed pair of top bits keeps it positive and its DER length constant.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return serial.toString('hex')
}
