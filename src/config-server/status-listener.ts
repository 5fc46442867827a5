import { createServer, type Server } from 'node:http'
import { isIPv4 } from 'node:net'
import type { ConnectedProxy, SourceStatus } from '../xds/index.ts'
import type { CaStatus } from './ca-status.ts'
import { type ListenAddress, listen } from './listen.ts'
import { syncz } from './syncz.ts'

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

/** What the listener shows. */
export interface StatusPages {
  status(): ConfigServerStatus
  /** Prometheus text. */
  metrics(): Promise<string>
}

/**
 * Plain HTTP for people and probes, with istiod's paths: `/ready` (also
 * `/healthz/ready`) answers 200 or 503, `/metrics` Prometheus' text,
 * `/debug/syncz` how each connected proxy stands, `/status` the whole of
 * `ConfigServerStatus`, both as JSON. Holds no secrets, but names everything in
 * the mesh: keep it on loopback.
 */
export async function openStatusListener(
  address: ListenAddress,
  pages: StatusPages,
): Promise<StatusListener> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    if (isLoopback(address.host) && !isLoopback(hostOf(request.headers.host))) {
      response.writeHead(403).end('the Host header must be that of this listener, localhost for one\n')
      return
    }
    const page = PAGES.get((request.url ?? '').split('?')[0] ?? '')
    if (page === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(page === undefined ? 404 : 405).end(`GET ${[...PAGES.keys()].join(', ')}\n`)
      return
    }
    void answer(page, pages).then(({ code, type, body }) =>
      response.writeHead(code, { 'content-type': type }).end(body),
    )
  })
  return { address: await listen(server, address), close: () => closeHttp(server) }
}

interface Answer {
  readonly code: number
  readonly type: string
  readonly body: string
}

type Page = (pages: StatusPages) => Answer | Promise<Answer>

const readyPage: Page = ({ status }) => {
  const now = status()
  return { code: now.ready ? 200 : 503, type: 'text/plain', body: readiness(now) }
}

const PAGES: ReadonlyMap<string, Page> = new Map<string, Page>([
  ['/ready', readyPage],
  ['/healthz/ready', readyPage],
  ['/status', ({ status }) => json(status())],
  ['/debug/syncz', ({ status }) => json(syncz(status().proxies))],
  [
    '/metrics',
    async ({ metrics }) => ({ code: 200, type: 'text/plain; version=0.0.4', body: await metrics() }),
  ],
])

async function answer(page: Page, pages: StatusPages): Promise<Answer> {
  try {
    return await page(pages)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { code: 500, type: 'text/plain', body: `${reason}\n` }
  }
}

function json(value: unknown): Answer {
  return { code: 200, type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` }
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
