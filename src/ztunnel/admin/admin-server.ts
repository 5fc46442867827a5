import { isIP } from 'node:net'
import { type Logger, parseLogFilter } from '../../telemetry/index.ts'
import { errorText } from '../errors.ts'
import { configDump, type DumpSources } from './config-dump.ts'
import { takeCpuProfile } from './cpu-profile.ts'
import { dashboard } from './dashboard.ts'
import type { ExplainAnswer } from './explain.ts'
import { HeapSampling } from './heap-profile.ts'
import {
  type BoundHttpServer,
  type HttpHandler,
  type HttpReply,
  type HttpRequest,
  localAddresses,
  startHttpServer,
  TEXT,
} from './http-server.ts'

/** What the admin server shows. Asked anew for each request. */
export interface AdminSources extends DumpSources {
  /** The connections that are open now; ours. */
  connections(): Promise<unknown>
  /** What would be done with a connection; ours. See `explain`. */
  explain(source: string, destination: string): Promise<ExplainAnswer>
}

export interface AdminServerOptions {
  readonly sources: AdminSources
  /** Its levels are shown and changed by `/logging`. */
  readonly logger: Logger
  /** Starts the end of the process; must not wait for it. */
  readonly shutdown: () => void
  /** 15000. */
  readonly port: number
  readonly ipv6Enabled: boolean
}

const LOGGING_USAGE =
  'usage: POST /logging                    show the log level\n' +
  '       POST /logging?level=<level>      change it for all scopes: off, error, warn, info, debug, trace\n' +
  '       POST /logging?level=<scope>=<level>,<scope>=<level>\n' +
  '       POST /logging?reset              back to the level at start; then level is applied, if given\n'

const EXPLAIN_USAGE =
  'usage: GET /explain?source=<namespace>/<pod>&destination=<ip, service or namespace/pod>:<port>\n'

/** Seconds. */
const PROFILE_SECONDS = { default: 10, min: 1, max: 300 }
/** Samples per second. */
const PROFILE_FREQUENCY = { default: 100, min: 1, max: 1000 }

/**
 * Serves the admin API (wire/ztunnel 13) on loopback only. It has no
 * authentication, so what a browser could be talked into is refused: requests
 * under a foreign name (DNS rebinding), and POSTs from foreign pages.
 *
 * @throws ProxyError `bind-failed`.
 */
export function startAdminServer(options: AdminServerOptions): Promise<BoundHttpServer> {
  return startHttpServer({
    name: 'admin',
    addresses: localAddresses(options.ipv6Enabled),
    port: options.port,
    handler: adminHandler(options),
    log: options.logger.scope('admin'),
  })
}

function adminHandler({ sources, logger, shutdown }: AdminServerOptions): HttpHandler {
  const heap = new HeapSampling()
  const routes: Readonly<Record<string, HttpHandler>> = {
    '/': () => ({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: dashboard() }),
    '/config_dump': async () => json(await configDump(sources)),
    '/connections': async () => json(await sources.connections()),
    '/explain': (request) => explainReply(request, sources),
    '/logging': (request) => logging(request, logger),
    '/quitquitquit': ({ method }) => {
      if (method !== 'POST') return { status: 405 }
      shutdown()
      return text(200, 'shutdown now\n')
    },
    '/debug/pprof/profile': profileHandler(),
    '/debug/pprof/heap': () => heapProfile(heap),
    '/debug/pprof/heap/profiling': (request) => heapSampling(request, heap),
  }
  return (request) => {
    const refusal = refused(request)
    if (refusal !== undefined) return text(403, refusal)
    const route = Object.hasOwn(routes, request.path) ? routes[request.path] : undefined
    return route === undefined ? { status: 404 } : route(request)
  }
}

/** Why a request is not answered; undefined when it is. */
function refused({ method, headers }: HttpRequest): string | undefined {
  const { host, origin } = headers
  // HTTP/1.0 may have none; every browser sends one.
  if (host !== undefined && !isLocalName(`http://${host}`)) {
    return 'the admin API answers to localhost and to IP addresses only, not to other host names\n'
  }
  if (method === 'POST' && origin !== undefined && URL.parse(origin)?.host !== host) {
    return 'requests from pages of other sites are refused\n'
  }
  return undefined
}

function isLocalName(url: string): boolean {
  const hostname = URL.parse(url)?.hostname
  if (hostname === undefined) return false
  return hostname === 'localhost' || isIP(hostname.replace(/^\[|\]$/g, '')) !== 0
}

async function explainReply({ query }: HttpRequest, sources: AdminSources): Promise<HttpReply> {
  const source = query.get('source')
  const destination = query.get('destination')
  if (source === null || destination === null) return text(400, EXPLAIN_USAGE)
  const answer = await sources.explain(source, destination)
  return answer.status === 200 ? json(answer.explanation) : text(answer.status, `${answer.message}\n`)
}

function logging({ method, query }: HttpRequest, logger: Logger): HttpReply {
  if (method !== 'POST') return text(405, `Invalid HTTP method\n ${LOGGING_USAGE}`)
  const level = query.getAll('level').join(',')
  try {
    // Before anything changes: a wrong level must not leave a half-done reset.
    parseLogFilter(level)
    if (query.has('reset')) logger.resetFilter()
    logger.addDirectives(level)
  } catch (error) {
    return text(400, `Invalid level provided: ${level}\n${errorText(error)}\n${LOGGING_USAGE}`)
  }
  return text(200, `current log level is ${logger.filter()}\n`)
}

function profileHandler(): HttpHandler {
  let running = false
  return async ({ query }) => {
    const seconds = bounded(query.get('seconds'), PROFILE_SECONDS)
    if (seconds === undefined) return text(400, 'invalid seconds value; expected 1-300\n')
    const frequency = bounded(query.get('frequency'), PROFILE_FREQUENCY)
    if (frequency === undefined) return text(400, 'invalid frequency value; expected 1-1000\n')
    if (running) return text(409, 'a profile is being taken already; try again when it is done\n')
    running = true
    try {
      const body = await takeCpuProfile(seconds, frequency)
      const disposition = 'attachment; filename="ztunnel.cpuprofile"'
      return { status: 200, headers: { 'content-type': JSON_TYPE, 'content-disposition': disposition }, body }
    } finally {
      running = false
    }
  }
}

async function heapProfile(heap: HeapSampling): Promise<HttpReply> {
  const body = await heap.profile()
  if (body === undefined) {
    return text(500, 'heap profiling is not active; see /debug/pprof/heap/profiling?activate=true\n')
  }
  const disposition = 'attachment; filename="ztunnel.heapprofile"'
  return { status: 200, headers: { 'content-type': JSON_TYPE, 'content-disposition': disposition }, body }
}

async function heapSampling({ query }: HttpRequest, heap: HeapSampling): Promise<HttpReply> {
  const activate = query.get('activate')
  if (activate !== null && activate !== 'true' && activate !== 'false') {
    return text(400, 'invalid activate value; expected true or false\n')
  }
  if (activate !== null) await heap.activate(activate === 'true')
  return text(200, `heap profiling active: ${heap.active}\n`)
}

function bounded(
  text: string | null,
  { default: unset, min, max }: typeof PROFILE_SECONDS,
): number | undefined {
  if (text === null) return unset
  const value = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN
  return value >= min && value <= max ? value : undefined
}

const JSON_TYPE = 'application/json'

function json(value: unknown): HttpReply {
  return {
    status: 200,
    headers: { 'content-type': JSON_TYPE },
    body: `${JSON.stringify(value, undefined, 2)}\n`,
  }
}

function text(status: number, body: string): HttpReply {
  return { status, headers: { 'content-type': TEXT }, body }
}
