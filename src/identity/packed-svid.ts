import type { SpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import { createSvid, exportPrivateKeyPem } from './x509-svid.ts'

/**
 * An SVID as a message to another thread of this process can carry it. It holds the private key: made to be posted
 * and unpacked at once, never to be kept, logged or sent elsewhere.
 */
export interface PackedSvid {
  readonly id: SpiffeId
  readonly privateKeyPem: string
  /** As `createSvid` takes it: leaf, intermediates, and last all roots. */
  readonly certChainPem: readonly string[]
}

/** Throws for an SVID that `createSvid` did not make. */
export function packSvid(svid: Svid): PackedSvid {
  const { id, certificateChain, roots } = svid
  const certChainPem = [...certificateChain, roots.join('')]
  return { id, privateKeyPem: exportPrivateKeyPem(svid), certChainPem }
}

/** The same SVID, with TLS contexts of the calling thread. */
export function unpackSvid(packed: PackedSvid): Svid {
  return createSvid(packed)
}
