import { X509Certificate } from 'node:crypto'
import type { CaMaterial } from '../identity/index.ts'

/** A headline, then what signs, up to the roots, one certificate a line. */
export function describeCa(headline: string, material: CaMaterial): string {
  const lines = [
    headline,
    ...[material.issuerPem, ...material.intermediatesPem.slice(1)].map((pem) => describe('signs', pem)),
    ...material.roots.map((pem) => describe('root', pem)),
    ...material.warnings.map((warning) => `warning: ${warning}`),
  ]
  return `${lines.join('\n')}\n`
}

function describe(role: string, pem: string): string {
  const cert = new X509Certificate(pem)
  const subject = cert.subject.replaceAll('\n', ', ')
  return `  ${role.padEnd(6)} ${subject}, until ${cert.validToDate.toISOString()}, SHA-256 ${cert.fingerprint256}`
}
