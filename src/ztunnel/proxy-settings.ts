import type { Config } from './config/config.ts'
import type { DnsSettings } from './dns/index.ts'
import type { ProxySettings } from './settings.ts'

/** Of every TCP connect; Istio's ztunnel has it fixed. */
const CONNECT_TIMEOUT_MS = 10_000

/** Not to be configured in Istio either. */
const SOCKS5_PORT = 15_080

/** What the configuration means for the proxies of the workloads. */
export function proxySettings(config: Config): ProxySettings {
  const { keepAlive, userTimeoutSeconds } = config
  return {
    network: config.network,
    bindAddress: config.ipv6Enabled ? '::' : '0.0.0.0',
    ports: {
      outbound: config.ports.outbound,
      inboundPlaintext: config.ports.inboundPlaintext,
      inboundHbone: config.ports.inboundHbone,
      socks5: config.socks5Enabled ? SOCKS5_PORT : undefined,
    },
    proxyEnabled: config.proxyEnabled,
    originalSource: config.originalSource,
    keepAlive: keepAlive && {
      time: keepAlive.timeSeconds * 1000,
      interval: keepAlive.intervalSeconds * 1000,
      retries: keepAlive.retries,
    },
    userTimeoutMs: userTimeoutSeconds === undefined ? undefined : userTimeoutSeconds * 1000,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    hbone: {
      streamWindowSize: config.http2StreamWindowSize,
      connectionWindowSize: config.http2ConnectionWindowSize,
      maxFrameSize: config.http2FrameSize,
    },
    pool: {
      maxStreamsPerConnection: config.poolMaxStreamsPerConnection,
      idleTimeoutMs: config.poolUnusedReleaseTimeoutMs,
    },
    maxConnectionsPerWorkload: config.maxConnectionsPerWorkload,
    responseBaggage: config.responseBaggage,
    localhostAppTunnel: config.localhostAppTunnel,
    waypointEnforcement: config.waypointEnforcement,
  }
}

/** What it means for their DNS; undefined when that is off. `search` is that of the proxy's own resolv.conf. */
export function dnsSettings(config: Config, search: readonly string[]): DnsSettings | undefined {
  if (config.dns === undefined) return undefined
  return {
    ...config.dns,
    clusterDomain: config.clusterDomain.toLowerCase(),
    ipv6Enabled: config.ipv6Enabled,
    // In shared mode that is the node's, and says nothing about any pod.
    searchDomains: config.proxyMode === 'dedicated' ? search : undefined,
  }
}
