import { createPublicKey, type KeyObject } from 'node:crypto'
import type { SecureContextOptions } from 'node:tls'
import type { CaMaterial } from './ca-material.ts'
import { createCsr } from './csr.ts'
import { errorText, IdentityError } from './errors.ts'
import { generateKeyPair, MAX_RSA_BITS, MIN_RSA_BITS, privateKeyPem, subjectPublicKeyInfo } from './keys.ts'
import { pemBlocks, pemToDer } from './pem.ts'
import { formatSpiffeId, type SpiffeId, spiffeIdProblem } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import { type ExtendedKeyUsage, type JsonGeneralNames, x509 } from './x509.ts'
import { createSvid, MESH_CIPHERS } from './x509-svid.ts'

export interface SignRequest {
  /** PKCS#10 in PEM. Only its key is used: whatever names it asks for are ignored. */
  readonly csrPem: string
  /** Who the certificate is for, decided by the caller's proven identity. */
  readonly id: SpiffeId
  /** Seconds from now; shortened to the end of the CA's own certificates. */
  readonly ttlSeconds: number
}

export interface ServerCertificateRequest {
  readonly dnsNames: readonly string[]
  /** IPv4 or IPv6. */
  readonly ipAddresses: readonly string[]
  readonly ttlSeconds: number
}

/** TLS server options with a fresh key; usable as they are in `http2.createSecureServer` and `setSecureContext`. */
export interface ServerCertificate extends SecureContextOptions {
  /** Issue the next one well before. */
  readonly notAfter: Date
}

export interface CertificateAuthorityOptions {
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number
}

/** A request that must hold one key and one signature; RSA 8192 needs under 5 KiB. */
export const MAX_CSR_BYTES = 16 * 1024

/** Signs workload certificates as Istio's CA does (X509-SVID), with a CA's material, which can be replaced. */
export class CertificateAuthority {
  #material: CaMaterial
  readonly #now: () => number
  readonly #listeners = new Set<() => void>()
  /** The latest end of a certificate signed with this material, and with earlier ones; milliseconds since the epoch. */
  #latestEnd = 0
  #latestOlderEnd = 0

  constructor(material: CaMaterial, options: CertificateAuthorityOptions = {}) {
    this.#material = material
    this.#now = options.now ?? Date.now
  }

  get material(): CaMaterial {
    return this.#material
  }

  /** What is signed from now on is signed with this; certificates signed before stay what they are. */
  replace(material: CaMaterial): void {
    this.#material = material
    this.#latestOlderEnd = Math.max(this.#latestOlderEnd, this.#latestEnd)
    this.#latestEnd = 0
    for (const listener of [...this.#listeners]) listener()
  }

  /** Calls back after each `replace`, until the returned function is called. */
  onReplace(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * When the last workload certificate ends that was signed here with earlier
   * material: until then a peer may hold its roots and its chain. Milliseconds
   * since the epoch; undefined when there is none any more.
   */
  get olderCertificatesUntil(): number | undefined {
    return this.#latestOlderEnd > this.#now() ? this.#latestOlderEnd : undefined
  }

  /**
   * Returns `cert_chain`: leaf, intermediates, and the root bundle as the last
   * element, each PEM with a final newline. Throws `IdentityError` with code
   * REQUEST_INVALID (bad CSR, key or id) or CA_EXPIRED.
   */
  async sign(request: SignRequest): Promise<string[]> {
    const problem = spiffeIdProblem(request.id)
    if (problem !== undefined)
      throw new IdentityError('REQUEST_INVALID', `cannot sign for this identity: ${problem}`)
    const publicKey = await verifiedKey(request.csrPem)
    const names: JsonGeneralNames = [{ type: 'url', value: formatSpiffeId(request.id) }]
    const { serverAuth, clientAuth } = x509().ExtendedKeyUsage
    const usages = [serverAuth, clientAuth]
    // One material for all of it: it may be replaced meanwhile.
    const material = this.#material
    const leaf = await this.#issue(material, publicKey, names, usages, request.ttlSeconds)
    const end = leaf.notAfter.getTime()
    if (material === this.#material) this.#latestEnd = Math.max(this.#latestEnd, end)
    else this.#latestOlderEnd = Math.max(this.#latestOlderEnd, end)
    return [leaf.pem, ...material.intermediatesPem, material.rootsPem]
  }

  /** Key, request and certificate in one step, where the CA and its client are one process. */
  async issueSvid(id: SpiffeId, ttlSeconds: number): Promise<Svid> {
    const keys = await generateKeyPair()
    const certChainPem = await this.sign({ csrPem: await createCsr(id, keys), id, ttlSeconds })
    return createSvid({ id, privateKeyPem: privateKeyPem(keys.privateKey), certChainPem })
  }

  /** For our own TLS listener (TLS 1.3, server authentication). The key exists in the returned options only. */
  async issueServerCertificate(request: ServerCertificateRequest): Promise<ServerCertificate> {
    const keys = await generateKeyPair()
    const names: JsonGeneralNames = [
      ...request.dnsNames.map((value) => ({ type: 'dns' as const, value })),
      ...request.ipAddresses.map((value) => ({ type: 'ip' as const, value })),
    ]
    const usages = [x509().ExtendedKeyUsage.serverAuth]
    const material = this.#material
    const spki = subjectPublicKeyInfo(keys.publicKey)
    const leaf = await this.#issue(material, spki, names, usages, request.ttlSeconds)
    return {
      key: privateKeyPem(keys.privateKey),
      cert: [leaf.pem, ...material.intermediatesPem].join(''),
      ciphers: MESH_CIPHERS,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      notAfter: leaf.notAfter,
    }
  }

  async #issue(
    material: CaMaterial,
    publicKey: Buffer<ArrayBuffer>,
    names: JsonGeneralNames,
    usages: ExtendedKeyUsage[],
    ttlSeconds: number,
  ): Promise<{ pem: string; notAfter: Date }> {
    const now = this.#now()
    const end = material.notAfter.getTime()
    if (end <= now) {
      const message = `the CA certificate (${material.subject}) expired at ${material.notAfter.toISOString()}; replace ca-cert.pem and ca-key.pem`
      throw new IdentityError('CA_EXPIRED', message)
    }
    // A certificate's dates have whole seconds.
    const notAfter = new Date(Math.floor(Math.min(now + ttlSeconds * 1000, end) / 1000) * 1000)
    const {
      BasicConstraintsExtension,
      ExtendedKeyUsageExtension,
      KeyUsageFlags,
      KeyUsagesExtension,
      SubjectAlternativeNameExtension,
    } = x509()
    const pem = await material.signCertificate({
      publicKey,
      notBefore: new Date(now - CLOCK_SKEW_MS),
      notAfter,
      extensions: [
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
        new ExtendedKeyUsageExtension(usages),
        new BasicConstraintsExtension(false, undefined, true),
        // Critical because the subject is empty (RFC 5280 section 4.1.2.6).
        new SubjectAlternativeNameExtension(names, true),
      ],
    })
    return { pem, notAfter }
  }
}

/** The key of a request whose signature proves possession of it, as DER SubjectPublicKeyInfo. */
async function verifiedKey(csrPem: string): Promise<Buffer<ArrayBuffer>> {
  if (csrPem.length > MAX_CSR_BYTES) {
    throw new IdentityError(
      'REQUEST_INVALID',
      `CSR of ${csrPem.length} bytes; at most ${MAX_CSR_BYTES} are read`,
    )
  }
  const [block, extra] = pemBlocks(csrPem)
  if (block === undefined || extra !== undefined || !CSR_LABELS.has(block.label)) {
    throw new IdentityError('REQUEST_INVALID', 'the CSR must be one PEM block labelled CERTIFICATE REQUEST')
  }
  try {
    const csr = new (x509().Pkcs10CertificateRequest)(pemToDer(block))
    const spki = Buffer.from(csr.publicKey.rawData)
    const problem = keyProblem(createPublicKey({ key: spki, format: 'der', type: 'spki' }))
    if (problem !== undefined) throw new IdentityError('REQUEST_INVALID', problem)
    if (await csr.verify()) return spki
  } catch (error) {
    if (error instanceof IdentityError) throw error
    throw new IdentityError('REQUEST_INVALID', `the CSR cannot be read: ${errorText(error)}`, {
      cause: error,
    })
  }
  throw new IdentityError('REQUEST_INVALID', 'the signature of the CSR does not match its key')
}

function keyProblem(key: KeyObject): string | undefined {
  const details = key.asymmetricKeyDetails
  if (key.asymmetricKeyType === 'ec') {
    if (EC_CURVES.has(details?.namedCurve ?? '')) return undefined
    return `EC key on curve ${details?.namedCurve}; use P-256 or P-384`
  }
  if (key.asymmetricKeyType === 'rsa') {
    const bits = details?.modulusLength ?? 0
    if (bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS) return undefined
    return `RSA key of ${bits} bits; use ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`
  }
  return `key of type ${key.asymmetricKeyType}; use EC P-256, EC P-384 or RSA`
}

/** istiod's: a certificate must be valid for peers whose clocks are behind ours. */
const CLOCK_SKEW_MS = 2 * 60_000
const CSR_LABELS: ReadonlySet<string> = new Set(['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'])
/** OpenSSL's names of P-256 and P-384. */
const EC_CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1'])
