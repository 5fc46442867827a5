import type { webcrypto } from 'node:crypto'
import { CaMaterial, randomSerialNumber } from './ca-material.ts'
import { generateKeyPair, privateKeyPem, subjectPublicKeyInfo } from './keys.ts'
import {
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from './x509.ts'

export interface CreateCaOptions {
  /** The organization in the subjects, as Istio names its root. Default `cluster.local`. */
  readonly trustDomain?: string
  /** Milliseconds since the epoch. Default: now. */
  readonly now?: number
}

/** A new root, the intermediate it signed, and both keys: the texts of Istio's `cacerts` files. */
export interface NewCa {
  readonly rootCertPem: string
  readonly rootKeyPem: string
  readonly caCertPem: string
  readonly caKeyPem: string
}

/** A CA that lives and dies with the process: for labs and tests. */
export async function createInMemoryCa(options: CreateCaOptions = {}): Promise<CaMaterial> {
  const { root, issuer } = await createCertificates(options)
  return new CaMaterial({
    issuerPem: issuer.pem,
    issuerKey: issuer.keys.privateKey,
    intermediatesPem: [issuer.pem],
    rootsPem: [root.pem],
  })
}

/** Makes a root (10 years) and an intermediate (5 years), ECDSA P-256. The keys are PKCS#8 PEM, for this folder only. */
export async function createCa(options: CreateCaOptions = {}): Promise<NewCa> {
  const { root, issuer } = await createCertificates(options)
  return {
    rootCertPem: root.pem,
    rootKeyPem: privateKeyPem(root.keys.privateKey),
    caCertPem: issuer.pem,
    caKeyPem: privateKeyPem(issuer.keys.privateKey),
  }
}

interface Authority {
  readonly pem: string
  readonly keys: webcrypto.CryptoKeyPair
}

async function createCertificates(options: CreateCaOptions): Promise<{ root: Authority; issuer: Authority }> {
  const now = options.now ?? Date.now()
  const organization = options.trustDomain ?? 'cluster.local'
  const notBefore = new Date(now - CLOCK_SKEW_MS)
  const rootKeys = await generateKeyPair()
  const rootCert = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerialNumber(),
    name: [{ O: [organization] }, { CN: ['Root CA'] }],
    keys: rootKeys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    notBefore,
    notAfter: new Date(now + ROOT_LIFETIME_MS),
    extensions: await authorityExtensions(rootKeys, undefined),
  })
  const root: Authority = { pem: `${rootCert.toString('pem')}\n`, keys: rootKeys }
  const signer = new CaMaterial({
    issuerPem: root.pem,
    issuerKey: rootKeys.privateKey,
    intermediatesPem: [],
    rootsPem: [root.pem],
  })
  const issuerKeys = await generateKeyPair()
  const issuerPem = await signer.signCertificate({
    subject: [{ O: [organization] }, { CN: ['Intermediate CA'] }],
    publicKey: subjectPublicKeyInfo(issuerKeys.publicKey),
    notBefore,
    notAfter: new Date(now + INTERMEDIATE_LIFETIME_MS),
    // It signs workloads only: no CA below it.
    extensions: await authorityExtensions(issuerKeys, 0),
  })
  return { root, issuer: { pem: issuerPem, keys: issuerKeys } }
}

async function authorityExtensions(
  keys: webcrypto.CryptoKeyPair,
  pathLength: number | undefined,
): Promise<Extension[]> {
  return [
    new BasicConstraintsExtension(true, pathLength, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
  ]
}

const DAY_MS = 86_400_000
/** As istiod's own: whoever runs longer rotates. */
const ROOT_LIFETIME_MS = 10 * 365 * DAY_MS
const INTERMEDIATE_LIFETIME_MS = 5 * 365 * DAY_MS
/** Dated back, so that a peer whose clock is behind accepts it at once. */
const CLOCK_SKEW_MS = 5 * 60_000
