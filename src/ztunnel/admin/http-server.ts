import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ScopedLogger } from '../../telemetry/index.ts'
import { errorText, ProxyError } from '../errors.ts'

/** What a handler sees of a request. There is never a body to read: none of these servers takes one. */
export interface HttpRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
}

export interface HttpReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

export type HttpHandler = (request: HttpRequest) => HttpReply | Promise<HttpReply>

export interface HttpServerOptions {
  /** For the log and for errors: `admin`, `stats`, `readiness`. */
  readonly name: string
  /** Tried in order; see `localAddresses` and `wildcardAddresses`. */
  readonly addresses: readonly ListenAddress[]
  /** 0 takes a free port, the same on every address. */
  readonly port: number
  readonly handler: HttpHandler
  readonly log: ScopedLogger
}

export interface ListenAddress {
  readonly address: string
  /** Another address to listen on where the machine does not know this one's family. */
  readonly fallback?: string
  /** False: the server does without this address where the machine does not have it. */
  readonly required: boolean
}

/** A server that listens. */
export interface BoundHttpServer extends AsyncDisposable {
  readonly port: number
  /** Without those that the machine does not have. */
  readonly addresses: readonly string[]
  /** Stops listening, lets requests that are being answered finish, and resolves when the last one has. */
  close(): Promise<void>
}

/** A client that has not sent its headers by then is cut off (wire/ztunnel 17.1). */
const HEADERS_TIMEOUT_MS = 2000

/** How often Node looks for such clients. */
const CHECK_INTERVAL_MS = 500

/** Bytes of request line and headers (wire/ztunnel 17.2). */
const MAX_HEADER_BYTES = 8 * 1024

/** Idle connections are dropped after it. Probes and scrapes come every few seconds; those rarer than that reconnect. */
const KEEP_ALIVE_MS = 5000

/** Scrapers, probes and people are few; a flood must not eat the file descriptors of the data path. */
const MAX_CONNECTIONS = 256

/** A client that does not read its answer for so long is cut off. Longer than the longest CPU profile. */
const STALLED_MS = 330_000

/** How long a request that is being answered may hold up the end of the process. */
const CLOSE_TIMEOUT_MS = 3000

/** 127.0.0.1, and ::1 where there is one (wire/ztunnel 1.2). */
export function localAddresses(ipv6Enabled: boolean): readonly ListenAddress[] {
  const v4 = { address: '127.0.0.1', required: true }
  return ipv6Enabled ? [v4, { address: '::1', required: false }] : [v4]
}

/** One dual-stack socket, or IPv4 where IPv6 is off in the configuration or in the kernel (wire/ztunnel 1.1). */
export function wildcardAddresses(ipv6Enabled: boolean): readonly ListenAddress[] {
  return [
    ipv6Enabled
      ? { address: '::', fallback: '0.0.0.0', required: true }
      : { address: '0.0.0.0', required: true },
  ]
}

/**
 * Serves HTTP/1.1 on every address.
 *
 * @throws ProxyError `bind-failed`.
 */
export async function startHttpServer(options: HttpServerOptions): Promise<BoundHttpServer> {
  const servers: { server: Server; address: string }[] = []
  const closeAll = async (): Promise<void> => {
    await Promise.all(servers.map(({ server }) => close(server)))
  }
  let port = options.port
  try {
    for (const wanted of options.addresses) {
      const bound = await bind(options, wanted, port)
      if (bound === undefined) continue
      servers.push(bound)
      port = boundPort(bound.server)
    }
  } catch (error) {
    await closeAll()
    throw error
  }
  const addresses = servers.map(({ address }) => address)
  options.log.info('listener established', { address: addresses.join(','), port, component: options.name })
  return { port, addresses, close: closeAll, [Symbol.asyncDispose]: closeAll }
}

/** Undefined when the machine does not have this address and can do without. */
async function bind(
  options: HttpServerOptions,
  wanted: ListenAddress,
  port: number,
): Promise<{ server: Server; address: string } | undefined> {
  try {
    return { server: await listen(options, wanted.address, port), address: wanted.address }
  } catch (error) {
    const absent = error instanceof Error && 'code' in error && ABSENT_CODES.has(String(error.code))
    if (absent && wanted.fallback !== undefined) {
      return bind(options, { address: wanted.fallback, required: wanted.required }, port)
    }
    if (absent && !wanted.required) return undefined
    const message = `failed to bind to address ${wanted.address} port ${port} (${options.name}): ${errorText(error)}`
    throw new ProxyError('bind-failed', message, { cause: error })
  }
}

/** What listening says where IPv6 is off, or the interface lacks the address. */
const ABSENT_CODES: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'])

function listen(options: HttpServerOptions, host: string, port: number): Promise<Server> {
  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  })
  server.maxConnections = MAX_CONNECTIONS
  server.timeout = STALLED_MS
  server.on('request', (request, response) => void answer(options, server, request, response))
  // A client may send its request, close its half, and read the answer: `printf … | nc` does.
  Object.assign(server, { httpAllowHalfOpen: true })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      server.on('error', (error) => options.log.warn(`${options.name} server error`, { error }))
      resolve(server)
    })
  })
}

async function answer(
  options: HttpServerOptions,
  server: Server,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume()
  const reply = await handled(options, request)
  if (response.destroyed) return
  // Once the server is closing, a kept connection would hold it up.
  if (!server.listening) response.setHeader('connection', 'close')
  const body = reply.body ?? ''
  response.writeHead(reply.status, { ...reply.headers, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

async function handled(options: HttpServerOptions, request: IncomingMessage): Promise<HttpReply> {
  try {
    const url = URL.parse(request.url ?? '/', 'http://localhost')
    if (url === null) return { status: 400 }
    const { pathname: path, searchParams: query } = url
    return await options.handler({ method: request.method ?? '', path, query, headers: request.headers })
  } catch (error) {
    options.log.error(`${options.name} request failed`, { path: request.url, error })
    return { status: 500, headers: { 'content-type': TEXT }, body: `${errorText(error)}\n` }
  }
}

/** `content-type` of plain answers. */
export const TEXT = 'text/plain; charset=utf-8'

function close(server: Server): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_TIMEOUT_MS)
  return new Promise((resolve) => {
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    server.closeIdleConnections()
  })
}

function boundPort(server: Server): number {
  return (server.address() as AddressInfo).port
}
