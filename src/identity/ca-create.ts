import type { webcrypto } from 'node:crypto'
import { CaMaterial, randomSerialNumber } from './ca-material.ts'
import { generateKeyPair, importSigningKey, privateKeyPem, subjectPublicKeyInfo } from './keys.ts'
import { type Extension, x509 } from './x509.ts'

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

/** What signs workload certificates: a certificate and its key, PEM. */
export type NewIssuer = Pick<NewCa, 'caCertPem' | 'caKeyPem'>

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

/** Another intermediate (5 years, within the root's life) below a root whose key is at hand. Takes the root's organization. */
export async function createIssuer(
  rootCertPem: string,
  rootKeyPem: string,
  now: number = Date.now(),
): Promise<NewIssuer> {
  const root = { pem: rootCertPem, key: importSigningKey(rootKeyPem) }
  const { X509Certificate } = x509()
  const organization = new X509Certificate(rootCertPem).subjectName.getField('O')[0] ?? 'cluster.local'
  const issuer = await createIntermediate(root, organization, now)
  return { caCertPem: issuer.pem, caKeyPem: privateKeyPem(issuer.keys.privateKey) }
}

interface Authority {
  readonly pem: string
  readonly keys: webcrypto.CryptoKeyPair
}

async function createCertificates(options: CreateCaOptions): Promise<{ root: Authority; issuer: Authority }> {
  const now = options.now ?? Date.now()
  const organization = options.trustDomain ?? 'cluster.local'
  const rootKeys = await generateKeyPair()
  const rootCert = await x509().X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerialNumber(),
    name: [{ O: [organization] }, { CN: ['Root CA'] }],
    keys: rootKeys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(now + ROOT_LIFETIME_MS),
    extensions: await authorityExtensions(rootKeys, undefined),
  })
  const root: Authority = { pem: `${rootCert.toString('pem')}\n`, keys: rootKeys }
  const signer = { pem: root.pem, key: rootKeys.privateKey }
  return { root, issuer: await createIntermediate(signer, organization, now) }
}

async function createIntermediate(
  root: { readonly pem: string; readonly key: webcrypto.CryptoKey },
  organization: string,
  now: number,
): Promise<Authority> {
  const signer = new CaMaterial({
    issuerPem: root.pem,
    issuerKey: root.key,
    intermediatesPem: [],
    rootsPem: [root.pem],
  })
  const keys = await generateKeyPair()
  const pem = await signer.signCertificate({
    subject: [{ O: [organization] }, { CN: ['Intermediate CA'] }],
    publicKey: subjectPublicKeyInfo(keys.publicKey),
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(Math.min(now + INTERMEDIATE_LIFETIME_MS, signer.notAfter.getTime())),
    // It signs workloads only: no CA below it.
    extensions: await authorityExtensions(keys, 0),
  })
  return { pem, keys }
}

async function authorityExtensions(
  keys: webcrypto.CryptoKeyPair,
  pathLength: number | undefined,
): Promise<Extension[]> {
  const { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, SubjectKeyIdentifierExtension } =
    x509()
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
