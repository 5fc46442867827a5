import type { HboneSettings } from '../hbone/index.ts'
import type { KeepAliveOptions } from '../linux/index.ts'

/** What every workload's proxy is told alike; filled once from the configuration. */
export interface ProxySettings {
  /** NETWORK: the network of this node. */
  readonly network: string
  /** Address of the listeners: `::` (dual stack) or `0.0.0.0`. */
  readonly bindAddress: string
  readonly ports: {
    readonly outbound: number
    readonly inboundPlaintext: number
    readonly inboundHbone: number
    /** UNSTABLE_ENABLE_SOCKS5; undefined: off. */
    readonly socks5?: number | undefined
  }
  /** ENABLE_PROXY: false leaves the DNS proxy alone. */
  readonly proxyEnabled: boolean
  /** ENABLE_ORIG_SRC: whether applications see the client's address. */
  readonly originalSource: 'required' | 'auto' | 'never'
  readonly keepAlive: KeepAliveOptions | undefined
  /** USER_TIMEOUT_ENABLED: TCP_USER_TIMEOUT. */
  readonly userTimeoutMs: number | undefined
  /** Of every TCP connect, 10 s in Istio. */
  readonly connectTimeoutMs: number
  readonly hbone: HboneSettings
  readonly pool: { readonly maxStreamsPerConnection: number; readonly idleTimeoutMs: number }
  /** Of one workload, both directions and tunnelled streams; see ConnectionLimit. */
  readonly maxConnectionsPerWorkload: number
  /** ENABLE_RESPONSE_BAGGAGE. */
  readonly responseBaggage: boolean
  /** LOCALHOST_APP_TUNNEL: dial PROXY-protocol applications on loopback. */
  readonly localhostAppTunnel: boolean
  /** WAYPOINT_ENFORCEMENT: whether what passes a workload's waypoint by is sent through it. */
  readonly waypointEnforcement: 'hairpin' | 'off'
}

/** Ports that no tunnel may end at: the proxy's own. */
export function illegalPorts(settings: ProxySettings): ReadonlySet<number> {
  return new Set(Object.values(settings.ports).filter((port) => port !== undefined))
}
