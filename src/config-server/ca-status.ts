import { X509Certificate } from 'node:crypto'
import type { CertificateAuthority } from '../identity/index.ts'

/** What a config server says of its CA. Times are milliseconds since the epoch. */
export interface CaStatus {
  /** Of the certificate that signs. */
  readonly subject: string
  /** SHA-256 of that certificate, as `ztunnel certs init` prints it: successors often have the same subject. */
  readonly fingerprint256: string
  /** Nothing that is signed outlives this. */
  readonly notAfter: number
  readonly roots: readonly {
    readonly subject: string
    readonly fingerprint256: string
    readonly notAfter: number
  }[]
  /** Why the files in the folder are not in force; absent when they are. */
  readonly problem?: string
  /**
   * Until then somebody may hold a certificate that was signed before the CA
   * last changed, with the roots of that time; absent when nobody does. A
   * restarted server does not know of certificates that it signed before.
   */
  readonly olderCertificatesUntil?: number
}

/** The CA in force, and what is wrong with the files that are not. */
export function caStatus(ca: CertificateAuthority, problem: string | undefined): CaStatus {
  const { issuerPem, roots, notAfter } = ca.material
  const { olderCertificatesUntil } = ca
  const { subject, fingerprint256 } = describe(issuerPem)
  return {
    subject,
    fingerprint256,
    notAfter: notAfter.getTime(),
    roots: roots.map(describe),
    ...(problem === undefined ? {} : { problem }),
    ...(olderCertificatesUntil === undefined ? {} : { olderCertificatesUntil }),
  }
}

function describe(pem: string): CaStatus['roots'][number] {
  const { subject, fingerprint256, validToDate } = new X509Certificate(pem)
  return { subject: subject.replaceAll('\n', ', '), fingerprint256, notAfter: validToDate.getTime() }
}
