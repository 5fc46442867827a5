import { constants, createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { errorText, IdentityError } from './errors.ts'
import { peerIdentity } from './peer.ts'
import { pemCertificates } from './pem.ts'
import { formatSpiffeId, type SpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'

/** What a CA's answer and our key make together. */
export interface SvidMaterial {
  /** The identity that was asked for; the leaf must carry it. */
  readonly id: SpiffeId
  /** PKCS#8 PEM; its public half is in the leaf. */
  readonly privateKeyPem: string
  /** `cert_chain` of the CA's answer: leaf, intermediates, and last the root bundle (one or more certificates). */
  readonly certChainPem: readonly string[]
  /** Told of each root that cannot be parsed and is left out, or cannot be used by a server. */
  readonly warn?: (message: string) => void
}

/** ztunnel's suites, in its order. */
export const MESH_CIPHERS = 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256'

/**
 * Leaf and intermediates. OpenSSL reads no more than 100 KiB of a peer's
 * chain, rustls follows six issuers; a certificate that nobody accepts must
 * not take the place of one that works.
 */
const MAX_CHAIN_CERTIFICATES = 10

/**
 * Checks a CA's answer and makes it usable. Throws `IdentityError` with code
 * CHAIN_INVALID: an empty chain, one too long for TLS, no root, a leaf for another identity or of
 * another key. Dates are not judged here; `SvidManager` does, by its clock.
 */
export function createSvid(material: SvidMaterial): Svid {
  const chain = splitChain(material)
  const leaf = chain.certificates[0]
  if (leaf === undefined) throw new IdentityError('CHAIN_INVALID', 'chain returned from CA is empty')
  checkLeaf(leaf, material)
  return new X509Svid(material, leaf, chain)
}

/**
 * The private key of an SVID as PKCS#8 PEM. It leaves the process's hands
 * here: for interop tests that must give a peer a key file, never for a log, a
 * dump or the data path, which use `clientContext()` and `serverOptions()`.
 * Throws for an SVID that `createSvid` did not make.
 */
export function exportPrivateKeyPem(svid: Svid): string {
  if (svid instanceof X509Svid) return X509Svid.privateKeyOf(svid)
  throw new TypeError('this SVID was not made by createSvid, so its key is not known here')
}

interface SplitChain {
  /** Leaf, then intermediates. */
  readonly certificates: readonly X509Certificate[]
  readonly roots: readonly X509Certificate[]
}

class X509Svid implements Svid {
  readonly id: SpiffeId
  readonly notBefore: Date
  readonly notAfter: Date
  readonly serialNumber: string
  readonly certificateChain: readonly string[]
  readonly roots: readonly string[]
  readonly #privateKeyPem: string
  #clientContext: SecureContext | undefined

  constructor(material: SvidMaterial, leaf: X509Certificate, chain: SplitChain) {
    this.id = material.id
    this.notBefore = leaf.validFromDate
    this.notAfter = leaf.validToDate
    this.serialNumber = BigInt(`0x${leaf.serialNumber}`).toString()
    this.certificateChain = chain.certificates.map(String)
    this.roots = chain.roots.map(String)
    this.#privateKeyPem = material.privateKeyPem
  }

  static privateKeyOf(svid: X509Svid): string {
    return svid.#privateKeyPem
  }

  clientContext(): SecureContext {
    this.#clientContext ??= createSecureContext(this.#options())
    return this.#clientContext
  }

  serverOptions(): SecureContextOptions {
    return this.#options()
  }

  #options(): SecureContextOptions {
    return {
      key: this.#privateKeyPem,
      cert: this.certificateChain.join(''),
      ca: [...this.roots],
      // A root bundle may hold an intermediate as its anchor; rustls accepts
      // that, OpenSSL only when told to. Node's TLS server drops this option,
      // so there such an anchor needs its own root beside it.
      allowPartialTrustChain: true,
      ciphers: MESH_CIPHERS,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      // A resumed session would skip the peer's certificate, and with it
      // expiry, rotation and the identity check.
      secureOptions: constants.SSL_OP_NO_TICKET,
    }
  }
}

function splitChain({ certChainPem, warn }: SvidMaterial): SplitChain {
  if (certChainPem.length === 0) throw new IdentityError('CHAIN_INVALID', 'chain returned from CA is empty')
  const certificates = certChainPem.slice(0, -1).flatMap(parseElement)
  if (certificates.length > MAX_CHAIN_CERTIFICATES) {
    const message = `the CA returned a chain of ${certificates.length} certificates before the roots; TLS peers take ${MAX_CHAIN_CERTIFICATES} at most`
    throw new IdentityError('CHAIN_INVALID', message)
  }
  const roots: X509Certificate[] = []
  for (const pem of certChainPem.length > 1 ? pemCertificates(certChainPem.at(-1) ?? '') : []) {
    try {
      const root = new X509Certificate(pem)
      roots.push(root)
      if (!root.checkIssued(root)) {
        warn?.(
          `root "${oneLine(root.subject)}" is not self-signed: as a server we accept only clients whose chain reaches a self-signed root`,
        )
      }
    } catch (error) {
      warn?.(`a root certificate in the CA's answer cannot be parsed and is not trusted: ${errorText(error)}`)
    }
  }
  if (roots.length === 0) throw new IdentityError('CHAIN_INVALID', 'no root certificate present')
  return { certificates, roots }
}

function oneLine(subject: string): string {
  return subject.replaceAll('\n', ', ')
}

function parseElement(text: string, index: number): X509Certificate[] {
  const blocks = pemCertificates(text)
  if (blocks.length === 0) {
    throw new IdentityError(
      'CHAIN_INVALID',
      `element ${index} of the chain from the CA holds no PEM certificate`,
    )
  }
  try {
    return blocks.map((pem) => new X509Certificate(pem))
  } catch (error) {
    const message = `element ${index} of the chain from the CA cannot be parsed: ${errorText(error)}`
    throw new IdentityError('CHAIN_INVALID', message, { cause: error })
  }
}

function checkLeaf(leaf: X509Certificate, { id, privateKeyPem }: SvidMaterial): void {
  const wanted = formatSpiffeId(id)
  const got = peerIdentity(leaf)
  if (got === undefined || formatSpiffeId(got) !== wanted) {
    const found = got === undefined ? (leaf.subjectAltName ?? 'no SAN at all') : formatSpiffeId(got)
    throw new IdentityError(
      'CHAIN_INVALID',
      `did not find expected SAN: asked for ${wanted}, the CA signed ${found}`,
    )
  }
  if (!leaf.checkPrivateKey(createPrivateKey(privateKeyPem))) {
    const message = `the certificate that the CA returned for ${wanted} is not for the key in the request`
    throw new IdentityError('CHAIN_INVALID', message)
  }
}
