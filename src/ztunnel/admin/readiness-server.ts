import type { ScopedLogger } from '../../telemetry/index.ts'
import {
  type BoundHttpServer,
  type HttpHandler,
  startHttpServer,
  TEXT,
  wildcardAddresses,
} from './http-server.ts'
import type { Readiness } from './readiness.ts'

export interface ReadinessServerOptions {
  readonly readiness: Readiness
  /** 15021. */
  readonly port: number
  readonly ipv6Enabled: boolean
  readonly log: ScopedLogger
}

/** Serves `/healthz/ready` (wire/ztunnel 13). @throws ProxyError `bind-failed`. */
export function startReadinessServer(options: ReadinessServerOptions): Promise<BoundHttpServer> {
  return startHttpServer({
    name: 'readiness',
    addresses: wildcardAddresses(options.ipv6Enabled),
    port: options.port,
    handler: readinessHandler(options.readiness),
    log: options.log,
  })
}

function readinessHandler(readiness: Readiness): HttpHandler {
  return ({ method, path }) => {
    if (path !== '/healthz/ready') return { status: 404 }
    if (method !== 'GET') return { status: 405 }
    const pending = readiness.pending()
    const headers = { 'content-type': TEXT }
    if (pending.length === 0) return { status: 200, headers, body: 'ready\n' }
    return { status: 500, headers, body: `not ready, pending: ${pending.join(', ')}\n` }
  }
}
