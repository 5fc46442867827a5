import {
  bootstrap,
  inboundChains,
  inboundClusters,
  internalListener,
  type Json,
  legacyListener,
  MAIN,
  mainCluster,
  type ServedPort,
  type TlsFiles,
  terminateListener,
} from '../../../src/sidecar/index.ts'

export interface ServerConfig {
  /** The pod's. */
  readonly addresses: readonly string[]
  readonly tls: TlsFiles
  /** The pod's ports; others have no filter chain. */
  readonly ports: readonly ServedPort[]
  /** Receive window of a stream, bytes. Default: Envoy's own, 16 MiB. */
  readonly streamWindow?: number
}

/** Sidecar inbound by HBONE (wire/istio 3.4): CONNECT ends on 15008, its bytes go to the application. */
export function serverBootstrap(config: ServerConfig): Json {
  return bootstrap(
    [
      terminateListener({ ...config, trustDomain: 'cluster.local' }),
      internalListener(MAIN, inboundChains(config)),
    ],
    [mainCluster(), ...inboundClusters(config)],
  )
}

/** Each tunnel of the suite waits for it, since none begins with a byte of the client. */
const DETECTION_TIMEOUT = '0.2s'

/** A sidecar that knows nothing of HBONE: everything is redirected to its 15006. */
export function legacyBootstrap(config: ServerConfig & { readonly strict: boolean }): Json {
  return bootstrap(
    [legacyListener({ ...config, trustDomain: 'cluster.local', detectionTimeout: DETECTION_TIMEOUT })],
    [...inboundClusters(config)],
  )
}
