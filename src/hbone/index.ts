/**
 * HBONE, Istio's tunnel: HTTP/2 CONNECT over mutual TLS with SPIFFE
 * identities. A server, a client with a pool, and the pump that joins a tunnel
 * with a TCP connection.
 */
export { type Authority, formatAuthority, parseAuthority } from './authority.ts'
export { type Baggage, type BaggageWorkloadType, decodeBaggage, encodeBaggage } from './baggage.ts'
export type { Cancellation } from './cancellation.ts'
export { type DialOptions, dialHbone } from './client.ts'
export { type ConnectRequest, HboneConnection, HboneStream } from './connection.ts'
export type { ConnectionEnds, Endpoint } from './endpoint.ts'
export { HboneError, type HboneErrorCode } from './errors.ts'
export type { TunnelStream } from './h2/stream.ts'
export type { TunnelDuplex } from './h2/tunnel-duplex.ts'
export {
  CLIENT_IDENTITY_HEADER,
  FORWARDED_NETWORK_HEADER,
  formatForwarded,
  makeTraceparent,
  NO_CLIENT_IDENTITY,
  parseForwardedHost,
  parseTraceparent,
  type Traceparent,
} from './headers.ts'
export { type InnerTunnelOptions, openInnerTunnel } from './inner-tunnel.ts'
export { HbonePool, type HbonePoolOptions } from './pool.ts'
export type { PoolDump } from './pool-key.ts'
export type { PoolTarget } from './pool-target.ts'
export { type PumpCounts, type PumpEnd, type PumpResult, pump, pumpUntil } from './pump.ts'
export type { HboneHeaders, HboneRequest } from './request.ts'
export { HboneServer, type HboneServerOptions } from './server.ts'
export type { ServerConnectionDump } from './server-connection.ts'
export type { HboneSettings } from './settings.ts'
