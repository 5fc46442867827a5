import type { CaMaterial } from '../identity/index.ts'
import { generateKeyPair } from '../identity/index.ts'
import { privateKeyPem, subjectPublicKeyInfo } from '../identity/keys.ts'
import { x509 } from '../identity/x509.ts'
import type { Credentials } from './credentials.ts'

/** What makes it odd. */
export interface OddNames {
  readonly uri?: string
  readonly dnsName?: string
  /** Without the extended key usage of a client. */
  readonly serverOnly?: boolean
}

/** A certificate that the mesh's own CA signed, and would never sign for a workload. */
export async function oddCertificate(
  material: CaMaterial,
  { uri, dnsName, serverOnly = false }: OddNames,
): Promise<Credentials> {
  const keys = await generateKeyPair()
  const {
    BasicConstraintsExtension,
    ExtendedKeyUsage,
    ExtendedKeyUsageExtension,
    KeyUsageFlags,
    KeyUsagesExtension,
    SubjectAlternativeNameExtension,
  } = x509()
  const usages = [ExtendedKeyUsage.serverAuth, ...(serverOnly ? [] : [ExtendedKeyUsage.clientAuth])]
  const names = [
    ...(uri === undefined ? [] : [{ type: 'url' as const, value: uri }]),
    ...(dnsName === undefined ? [] : [{ type: 'dns' as const, value: dnsName }]),
  ]
  const leaf = await material.signCertificate({
    publicKey: subjectPublicKeyInfo(keys.publicKey),
    notBefore: new Date(Date.now() - CLOCK_SKEW_MS),
    notAfter: new Date(Date.now() + LIFETIME_MS),
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension(usages),
      new BasicConstraintsExtension(false, undefined, true),
      new SubjectAlternativeNameExtension(names, true),
    ],
  })
  return {
    key: privateKeyPem(keys.privateKey),
    chain: [leaf, ...material.intermediatesPem].join(''),
    roots: material.rootsPem,
  }
}

/** Dated back, for a target whose clock is behind, milliseconds. */
const CLOCK_SKEW_MS = 60_000
/** Longer than any run, milliseconds. */
const LIFETIME_MS = 3_600_000
