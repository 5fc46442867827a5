/** Bounds of the connections to one upstream; all optional. */
export interface UpstreamPoolOptions {
  /** Connections per upstream key. Default 1024. */
  readonly maxConnections?: number | undefined
  /** Requests per upstream key that wait for a connection. Default 1024. */
  readonly maxPending?: number | undefined
  /** A connection that nobody uses is closed after that, milliseconds. Default 30 s. */
  readonly idleTimeoutMs?: number | undefined
}

/** `UpstreamPoolOptions` with every default filled in. */
export interface UpstreamBounds {
  readonly maxConnections: number
  readonly maxPending: number
  readonly idleTimeoutMs: number
}

/** Unit connections, per upstream. Envoy's circuit breaker. */
export const MAX_UPSTREAM_CONNECTIONS = 1024
/** Unit requests, per upstream. Envoy's circuit breaker. */
export const MAX_UPSTREAM_PENDING = 1024
/** Most servers close an idle connection after 60 s or more; a tunnel that idles costs two hops their memory. */
export const UPSTREAM_IDLE_MS = 30_000

export function upstreamBounds(options: UpstreamPoolOptions): UpstreamBounds {
  return {
    maxConnections: options.maxConnections ?? MAX_UPSTREAM_CONNECTIONS,
    maxPending: options.maxPending ?? MAX_UPSTREAM_PENDING,
    idleTimeoutMs: options.idleTimeoutMs ?? UPSTREAM_IDLE_MS,
  }
}
