export {
  ADMIN_PORT,
  accessLog,
  allowOnly,
  bootstrap,
  connectionManager,
  destinationMatch,
  type EnvoyNode,
  endpointAt,
  extension,
  internalCluster,
  internalListener,
  internalUpstream,
  type Json,
  ORIGINAL_DST,
  originalDestination,
  PEER_PRINCIPAL,
  rbac,
  socketAddress,
  staticCluster,
  tcpProxy,
  typed,
} from './envoy.ts'
export { SidecarError, type SidecarErrorCode } from './errors.ts'
export {
  type InboundOptions,
  inboundChains,
  inboundClusters,
  type LegacyOptions,
  legacyListener,
  type ServedPort,
} from './inbound.ts'
export {
  http2Connect,
  ORIGINATE,
  type OriginateOptions,
  originateCluster,
  originateListener,
  type TunnelTarget,
  tunnelledCluster,
} from './originate.ts'
export {
  connectProtocol,
  connectRoute,
  MAIN,
  mainCluster,
  state,
  type TerminateOptions,
  terminateListener,
  tunnelState,
} from './terminate.ts'
export { downstreamTls, legacyTls, sdsResources, type TlsFiles, upstreamTls } from './tls.ts'
export { type WorkloadBootstrapOptions, workloadBootstrap } from './workload-bootstrap.ts'
