import type { SecureContext, SecureContextOptions } from 'node:tls'
import type { SpiffeId } from './spiffe-id.ts'

/**
 * An X.509 SVID with its private key and the roots that came with it (SPIFFE
 * X509-SVID). The key never leaves `identity/` as a value: what others get is
 * a TLS context that holds it.
 */
export interface Svid {
  readonly id: SpiffeId
  readonly notBefore: Date
  readonly notAfter: Date
  /** Decimal. */
  readonly serialNumber: string
  /** PEM, leaf first, without roots. */
  readonly certificateChain: readonly string[]
  /** PEM, one certificate each. */
  readonly roots: readonly string[]
  /** For dialling: presents this SVID, trusts its roots, TLS 1.3 only. Made once. */
  clientContext(): SecureContext
  /** For `http2.createSecureServer` and `setSecureContext`: the same credentials, server side. */
  serverOptions(): SecureContextOptions
}
