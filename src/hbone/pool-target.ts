import type { Svid } from '../identity/svid.ts'

/** Where a tunnel goes, and as whom. */
export interface PoolTarget {
  /** Full SPIFFE URI of the workload that we speak for. */
  readonly sourceIdentity: string
  /** Its current SVID. A new serial number starts new connections. */
  readonly svid: () => Svid | Promise<Svid>
  /** Full SPIFFE URIs of which the peer must prove one. */
  readonly destinationIdentities: readonly string[]
  readonly address: string
  readonly port: number
  /** Of the client. Part of the key, so that a peer never sees two clients on one connection. */
  readonly sourceAddress: string
}

/** What a connection may be shared by, as text: equal if and only if all parts are. */
export function poolKeyName(target: PoolTarget): string {
  const { sourceIdentity, destinationIdentities, address, port, sourceAddress } = target
  return JSON.stringify([sourceIdentity, destinationIdentities, address, port, sourceAddress])
}
