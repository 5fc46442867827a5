import type { Duplex } from 'node:stream'
import type { HttpExchange, HttpProtocol } from './exchange.ts'
import { serveHttp1 } from './http1-server.ts'
import { serveHttp2 } from './http2-server.ts'
import { effectiveLimits, type HttpLimits } from './limits.ts'
import { rawRefusal } from './refusal.ts'
import { readFirstBytes } from './sniff-stream.ts'
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

/** Serves HTTP in a tunnel until it is closed. Owns `tunnel`. Never rejects. */
export async function serveHttp(tunnel: Duplex, options: ServeHttpOptions): Promise<void> {
  const limits = effectiveLimits(options.limits)
  const protocol = options.protocol === 'auto' ? await sniff(tunnel, options) : options.protocol
  if (protocol === 'http1') await serveHttp1(tunnel, options, limits)
  else if (protocol === 'http2') await serveHttp2(tunnel, options, limits)
}

async function sniff(tunnel: Duplex, options: ServeHttpOptions): Promise<HttpProtocol | undefined> {
  const { headersTimeoutMs } = effectiveLimits(options.limits)
  const sniffed = await readFirstBytes(tunnel, headersTimeoutMs)
  if (sniffed === 'http1' || sniffed === 'http2') return sniffed
  if (!tunnel.destroyed) {
    options.onRefused?.(sniffed === 'other' ? 400 : 0, `no HTTP: ${sniffed}`)
    if (sniffed === 'other') tunnel.end(rawRefusal(400, 'this port speaks HTTP'), 'latin1')
    setImmediate(() => tunnel.destroy())
  }
  return undefined
}
