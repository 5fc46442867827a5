import type { Duplex } from 'node:stream'
import type { HttpExchange, HttpProtocol } from './exchange.ts'
import type { HttpLimits } from './limits.ts'
import type { HttpUpstreamPool } from './upstream-pool.ts'

/** How the HTTP inside one tunnel is served. */
export interface ServeHttpOptions {
  /** `auto` looks at the first bytes, and answers 400 to what is no HTTP. */
  readonly protocol: HttpProtocol | 'auto'
  /** Connections to upstreams, shared by all tunnels of the waypoint. */
  readonly upstreams: HttpUpstreamPool
  readonly limits?: HttpLimits | undefined
  /** Called with each request that is well formed. Must not throw. */
  readonly onRequest: (exchange: HttpExchange) => void
  /** A request that was refused before `onRequest` could see it, for the log. `status` 0: cut off without an answer. */
  readonly onRefused?: ((status: number, reason: string) => void) | undefined
  /** Drain: no request is begun any more, and the connection is closed after those under way. */
  readonly signal?: AbortSignal | undefined
}

/** Serves HTTP in a tunnel until it is done. Owns `tunnel`. Never rejects. */
export async function serveHttp(tunnel: Duplex, options: ServeHttpOptions): Promise<void> {
  void options
  tunnel.destroy()
}
