import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Metrics, ScopedLogger } from '../../telemetry/index.ts'
import {
  type BoundHttpServer,
  type HttpHandler,
  type HttpReply,
  startHttpServer,
  TEXT,
  wildcardAddresses,
} from './http-server.ts'

export interface StatsServerOptions {
  readonly metrics: Pick<Metrics, 'exposition'>
  /** 15020. */
  readonly port: number
  readonly ipv6Enabled: boolean
  readonly log: ScopedLogger
}

const OPENMETRICS = 'application/openmetrics-text;charset=utf-8;version=1.0.0'

/** Below this a compressed answer saves nothing. Bytes. */
const MIN_COMPRESSED_BYTES = 1024

const compress = promisify(gzip)

/** Serves `/metrics` and `/stats/prometheus` (wire/ztunnel 13). @throws ProxyError `bind-failed`. */
export function startStatsServer(options: StatsServerOptions): Promise<BoundHttpServer> {
  return startHttpServer({
    name: 'stats',
    addresses: wildcardAddresses(options.ipv6Enabled),
    port: options.port,
    handler: statsHandler(options.metrics),
    log: options.log,
  })
}

function statsHandler(metrics: StatsServerOptions['metrics']): HttpHandler {
  // Anybody may ask, and writing the text costs: those who ask meanwhile share one.
  let current: Promise<Buffer> | undefined
  const text = async (): Promise<Buffer> => {
    current ??= metrics
      .exposition()
      .then((exposition) => Buffer.from(exposition))
      .finally(() => {
        current = undefined
      })
    return current
  }
  return async ({ path, headers }): Promise<HttpReply> => {
    if (path !== '/metrics' && path !== '/stats/prometheus') return { status: 404 }
    const plain = {
      'content-type': acceptsOpenMetrics(headers.accept) ? OPENMETRICS : TEXT,
      vary: 'accept, accept-encoding',
    }
    const body = await text()
    if (body.length < MIN_COMPRESSED_BYTES || !acceptsGzip(headers['accept-encoding'])) {
      return { status: 200, headers: plain, body }
    }
    return { status: 200, headers: { ...plain, 'content-encoding': 'gzip' }, body: await compress(body) }
  }
}

function acceptsOpenMetrics(accept: string | undefined): boolean {
  return items(accept).some(([type]) => type === 'application/openmetrics-text')
}

/** RFC 9110 12.5.3: a weight of 0 is a refusal. */
function acceptsGzip(encodings: string | string[] | undefined): boolean {
  return items(String(encodings ?? '')).some(
    ([encoding, ...parameters]) =>
      (encoding === 'gzip' || encoding === '*') && !parameters.some((p) => /^q=0(\.0*)?$/.test(p)),
  )
}

function items(header: string | undefined): string[][] {
  return (header ?? '').split(',').map((item) => item.split(';').map((part) => part.trim().toLowerCase()))
}
