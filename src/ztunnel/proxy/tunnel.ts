import {
  type Cancellation,
  FORWARDED_NETWORK_HEADER,
  type HbonePool,
  type HboneStream,
  openInnerTunnel,
  type PoolTarget,
} from '../../hbone/index.ts'
import type { SvidSource } from '../../identity/index.ts'
import { type Route, type Workload, workloadIdentity } from '../../mesh/index.ts'
import type { ProxySettings } from '../settings.ts'
import { svidOf } from './own-svid.ts'
import { WorkloadTexts } from './workload-texts.ts'

/** A route that leads through a tunnel. */
export type TunnelRoute = Extract<Route, { kind: 'hbone' | 'double-hbone' }>

export interface TunnelDependencies {
  readonly pool: HbonePool
  readonly svids: SvidSource
  readonly settings: ProxySettings
}

export interface TunnelRequest {
  /** The captured workload for which the proxy speaks: with its certificate. */
  readonly workload: Workload
  /** Of the client; connections are not shared among clients. */
  readonly clientAddress: string
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Opens the tunnel that a route asks for. Only the inner request of double
 * HBONE says which network the client is in: the gateway knows, and the far
 * endpoint must not look the client's address up in its own (wire/ztunnel 4.3).
 */
export async function openTunnel(
  { pool, svids, settings }: TunnelDependencies,
  route: TunnelRoute,
  { workload, clientAddress, headers }: TunnelRequest,
  signal: Cancellation,
): Promise<HboneStream> {
  const identity = workloadIdentity(workload)
  const target: PoolTarget = {
    sourceIdentity: WorkloadTexts.of(workload).uri,
    svid: () => svids.peek(identity) ?? svidOf(svids, workload),
    destinationIdentities: route.expectedIdentities,
    address: route.dial.address,
    port: route.dial.port,
    sourceAddress: clientAddress,
  }
  const { authority } = route
  const tunnel = await pool.open(target, { authority, headers }, signal)
  if (route.kind === 'hbone') return tunnel
  return openInnerTunnel(tunnel.stream, {
    svid: await target.svid(),
    expectedIdentities: route.innerIdentities,
    request: { authority, headers: { ...headers, [FORWARDED_NETWORK_HEADER]: settings.network } },
    settings: settings.hbone,
    signal,
  })
}
