import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { CaParts } from './ca-material.ts'
import { errorText, IdentityError } from './errors.ts'
import { importSigningKey } from './keys.ts'
import { pemCertificates } from './pem.ts'
import { x509 } from './x509.ts'

/** The files of Istio's `cacerts` secret. */
export const CA_FILES = ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'root-cert.pem'] as const
export type CaFileName = (typeof CA_FILES)[number]
export type CaFileTexts = Readonly<Record<CaFileName, string>>

/**
 * Checks that the four texts make one CA that peers will accept today. Throws
 * `IdentityError` CA_FILES_INVALID naming the file that is wrong and what to do.
 */
export function checkedCa(dir: string, texts: CaFileTexts, now: number): CaParts {
  const fail = (name: CaFileName, problem: string, cause?: unknown): never => {
    throw new IdentityError('CA_FILES_INVALID', `${join(dir, name)}: ${problem}`, { cause })
  }
  const certificates = (name: CaFileName): X509Certificate[] => parseAll(name, texts[name], fail)
  const issuer = certificates('ca-cert.pem')[0] ?? fail('ca-cert.pem', 'holds no certificate')
  const chain = certificates('cert-chain.pem')
  const roots = certificates('root-cert.pem')
  const key = readKey(texts['ca-key.pem'], fail)
  if (!issuer.checkPrivateKey(key)) {
    fail('ca-key.pem', 'is not the key of ca-cert.pem; put the pair that belongs together')
  }
  checkMaySign(issuer, fail)
  const intermediates = pathToRoot(issuer, chain, roots, fail)
  const anchor = anchorOf(intermediates.at(-1) ?? issuer, roots, now) ?? issuer
  checkDates([issuer, ...intermediates, anchor], now, fail)
  return {
    issuerPem: issuer.toString(),
    issuerKey: importSigningKey(texts['ca-key.pem']),
    intermediatesPem: intermediates.map(String),
    rootsPem: roots.map(String),
    warnings: roots.flatMap((root) => expiryWarnings(root, join(dir, 'root-cert.pem'), now)),
  }
}

type Fail = (name: CaFileName, problem: string, cause?: unknown) => never

function parseAll(name: CaFileName, text: string, fail: Fail): X509Certificate[] {
  const blocks = pemCertificates(text)
  if (blocks.length === 0)
    fail(name, 'holds no PEM certificate ("-----BEGIN CERTIFICATE-----"); convert it to PEM')
  return blocks.map((pem, index) => {
    try {
      return new X509Certificate(pem)
    } catch (error) {
      return fail(
        name,
        `certificate ${index + 1} cannot be parsed (${errorText(error)}); export it again as PEM`,
        error,
      )
    }
  })
}

function readKey(text: string, fail: Fail): KeyObject {
  if (text.includes('ENCRYPTED')) {
    fail(
      'ca-key.pem',
      'is encrypted; store it decrypted ("openssl pkey -in … -out ca-key.pem") with mode 600',
    )
  }
  try {
    importSigningKey(text)
    return createPrivateKey(text)
  } catch (error) {
    return fail('ca-key.pem', `cannot be used as a private key: ${errorText(error)}`, error)
  }
}

function checkMaySign(issuer: X509Certificate, fail: Fail): void {
  if (!issuer.ca) {
    fail('ca-cert.pem', 'is not a CA certificate (basic constraints CA:TRUE); use the certificate of a CA')
  }
  const { KeyUsageFlags, KeyUsagesExtension, X509Certificate: ParsedCertificate } = x509()
  const usage = new ParsedCertificate(issuer.raw).getExtension(KeyUsagesExtension)?.usages
  if (usage !== undefined && (usage & KeyUsageFlags.keyCertSign) === 0) {
    fail(
      'ca-cert.pem',
      'may not sign certificates (key usage lacks keyCertSign); issue it again with that usage',
    )
  }
}

/** The issuer and what is above it, without the root. Istio's own `cert-chain.pem` often ends with the root: left out. */
function pathToRoot(
  issuer: X509Certificate,
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  fail: Fail,
): X509Certificate[] {
  const path: X509Certificate[] = []
  let current = issuer
  while (path.length < MAX_PATH_LENGTH) {
    const here = current
    if (roots.some((root) => root.raw.equals(here.raw))) return path
    path.push(here)
    if (roots.some((root) => issued(root, here))) return path
    const next = chain.find((candidate) => !path.includes(candidate) && issued(candidate, here))
    if (next === undefined) break
    current = next
  }
  const subject = current.subject.replaceAll('\n', ', ')
  return fail(
    'cert-chain.pem',
    `does not lead from ca-cert.pem to a certificate in root-cert.pem: no issuer found for "${subject}"; add the missing intermediates to cert-chain.pem, or the root to root-cert.pem`,
  )
}

function issued(issuer: X509Certificate, subject: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey)
}

/** The root that peers would end at: of several with one key, as after a renewal, one that is valid now. */
function anchorOf(
  last: X509Certificate,
  roots: readonly X509Certificate[],
  now: number,
): X509Certificate | undefined {
  const anchors = roots.filter((root) => issued(root, last))
  const isCurrent = (root: X509Certificate): boolean =>
    root.validFromDate.getTime() <= now && now < root.validToDate.getTime()
  return anchors.find(isCurrent) ?? anchors[0]
}

function checkDates(path: readonly X509Certificate[], now: number, fail: Fail): void {
  path.forEach((cert, index) => {
    const name = index === 0 ? 'ca-cert.pem' : index === path.length - 1 ? 'root-cert.pem' : 'cert-chain.pem'
    const subject = cert.subject.replaceAll('\n', ', ')
    if (cert.validToDate.getTime() <= now) {
      fail(name, `"${subject}" expired on ${cert.validTo}; replace it with a renewed certificate`)
    }
    if (cert.validFromDate.getTime() > now) {
      fail(name, `"${subject}" is not valid before ${cert.validFrom}; check this machine's clock`)
    }
  })
}

function expiryWarnings(root: X509Certificate, path: string, now: number): string[] {
  if (root.validToDate.getTime() > now) return []
  return [`${path}: root "${root.subject.replaceAll('\n', ', ')}" expired on ${root.validTo}; remove it`]
}

/** Longer chains are a mistake, and OpenSSL peers stop at 100. */
const MAX_PATH_LENGTH = 10
