import type { Duplex } from 'node:stream'
import type { Svid } from '../identity/svid.ts'
import type { Cancellation } from './cancellation.ts'
import { dialHbone } from './client.ts'
import type { ConnectRequest, HboneStream } from './connection.ts'
import type { HboneSettings } from './settings.ts'

export interface InnerTunnelOptions {
  /** What we present to the far endpoint. */
  readonly svid: Svid
  /** Full SPIFFE URIs, of which the far endpoint must prove one. */
  readonly expectedIdentities: readonly string[]
  readonly request: ConnectRequest
  readonly settings?: HboneSettings | undefined
  readonly signal?: Cancellation | undefined
}

/**
 * Double HBONE (wire/ztunnel 4.5): a tunnel within the stream of another one.
 * A network gateway ends the outer tunnel and passes on what is in it, so TLS
 * and HTTP/2 begin anew in there, and the far endpoint proves who it is to us
 * and not to the gateway. Nothing else ever goes over `outer`: the gateway has
 * chosen one endpoint for it.
 *
 * Owns `outer`, which ends with the tunnel. Rejects as `dialHbone` and
 * `HboneConnection.request` do.
 */
export async function openInnerTunnel(outer: Duplex, options: InnerTunnelOptions): Promise<HboneStream> {
  const { svid, expectedIdentities, request, settings, signal } = options
  const connection = await dialHbone({ socket: outer, svid, expectedIdentities, settings, signal })
  connection.onIdle = () => void connection.drain()
  try {
    return await connection.request(request, signal)
  } catch (error) {
    connection.close()
    throw error
  }
}
