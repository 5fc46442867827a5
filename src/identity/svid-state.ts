import { X509Certificate } from 'node:crypto'
import { formatSpiffeId, type SpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'

/** Where one identity's certificate stands. */
export type SvidState =
  | { readonly kind: 'initializing' }
  | { readonly kind: 'available'; readonly svid: Svid }
  | { readonly kind: 'unavailable'; readonly error: Error }

/** One certificate in ztunnel's `config_dump`. */
export interface CertificateDump {
  /** Base64 of the PEM text. */
  readonly pem: string
  /** Decimal. */
  readonly serialNumber: string
  /** RFC 3339, UTC, whole seconds. */
  readonly validFrom: string
  readonly expirationTime: string
}

/** One element of `certificates` in ztunnel's `config_dump`. */
export interface IdentityDump {
  readonly identity: string
  /** `Initializing`, `Available` or `Unavailable: <error>`. */
  readonly state: string
  readonly certChain: readonly CertificateDump[]
  readonly rootCerts: readonly CertificateDump[]
}

/** Shows an identity's state without its key. */
export function dumpState(id: SpiffeId, state: SvidState): IdentityDump {
  const svid = state.kind === 'available' ? state.svid : undefined
  return {
    identity: formatSpiffeId(id),
    state: stateText(state),
    certChain: (svid?.certificateChain ?? []).map(dumpCertificate),
    rootCerts: (svid?.roots ?? []).map(dumpCertificate),
  }
}

function stateText(state: SvidState): string {
  switch (state.kind) {
    case 'initializing':
      return 'Initializing'
    case 'available':
      return 'Available'
    case 'unavailable':
      return `Unavailable: ${state.error.message}`
  }
}

function dumpCertificate(pem: string): CertificateDump {
  const cert = new X509Certificate(pem)
  return {
    pem: Buffer.from(pem).toString('base64'),
    serialNumber: BigInt(`0x${cert.serialNumber}`).toString(),
    validFrom: wholeSeconds(cert.validFromDate),
    expirationTime: wholeSeconds(cert.validToDate),
  }
}

function wholeSeconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z')
}
