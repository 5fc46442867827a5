import { createServer, type Server } from 'node:http'
import { isIPv4 } from 'node:net'
import type { ConnectedProxy, SourceStatus } from '../xds/index.ts'
import type { CaStatus } from './ca-status.ts'
import { type ListenAddress, listen } from './listen.ts'

/** What a config server says of itself. Times within are milliseconds since the epoch. */
export interface ConfigServerStatus {
  /** Whether it serves: the source was read as a whole at least once. */
  readonly ready: boolean
  readonly source: SourceStatus
  /** Type URL to number of resources served. */
  readonly resources: Readonly<Record<string, number>>
  readonly proxies: readonly ConnectedProxy[]
  readonly ca: CaStatus
}

export interface StatusListener {
  readonly address: ListenAddress
  close(): Promise<void>
}

/** Requests take no body and finish at once; slower clients are cut. Milliseconds. */
const REQUEST_TIMEOUT_MS = 5_000

/**
 * Plain HTTP for people and probes: `/ready` (also `/healthz/ready`) answers
 * 200 or 503, `/status` the whole of `ConfigServerStatus` as JSON. Holds no
 * secrets, but names everything in the mesh: keep it on loopback.
 */
export async function openStatusListener(
  address: ListenAddress,
  status: () => ConfigServerStatus,
): Promise<StatusListener> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    if (isLoopback(address.host) && !isLoopback(hostOf(request.headers.host))) {
      response.writeHead(403).end('the Host header must be that of this listener, localhost for one\n')
      return
    }
    const path = (request.url ?? '').split('?')[0]
    const known = path === '/status' || path === '/ready' || path === '/healthz/ready'
    if (!known || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(known ? 405 : 404).end('GET /ready or /status\n')
      return
    }
    const now = status()
    if (path === '/status') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(`${JSON.stringify(now, null, 2)}\n`)
    } else {
      response.writeHead(now.ready ? 200 : 503, { 'content-type': 'text/plain' }).end(readiness(now))
    }
  })
  return { address: await listen(server, address), close: () => closeHttp(server) }
}

/** By the Host header a browser tells that a page's own name was pointed at loopback (DNS rebinding) to read this. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

/** Without the port and an IPv6 address's brackets. */
function hostOf(header = ''): string {
  return /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(header)?.slice(1).join('') ?? ''
}

function readiness({ ready, source }: ConfigServerStatus): string {
  if (ready) return 'ready\n'
  const errors = source.problems.filter(({ severity }) => severity === 'error').map(({ text }) => text)
  return `not ready: ${source.source} has not been read without errors yet\n${errors.join('\n')}\n`
}

function closeHttp(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
