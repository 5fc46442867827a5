import {
  createSecureServer,
  type Http2SecureServer,
  type Http2Session,
  type ServerHttp2Session,
} from 'node:http2'
import { type ConnectRouter, createContextValues } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { type CertificateAuthority, type Clock, type IdentityLog, systemClock } from '../identity/index.ts'
import { peerAddress } from '../xds/index.ts'
import { type ListenAddress, listen } from './listen.ts'
import type { ServerNames } from './server-names.ts'

export interface GrpcListenerOptions {
  readonly ca: CertificateAuthority
  readonly names: ServerNames
  readonly routes: (router: ConnectRouter) => void
  /** Rejects for a request without a good token. Decides who may stay connected; each service decides about its calls. */
  readonly authenticate: (headers: Headers) => Promise<unknown>
  readonly listen: ListenAddress
  readonly log: IdentityLog
  readonly clock?: Clock
}

/** A bound HTTP/2 TLS listener for gRPC. */
export interface GrpcListener {
  readonly address: ListenAddress
  /** Ends streams in good order, then connections. Takes `CLOSE_GRACE_MS` at most. */
  close(): Promise<void>
}

/** Lifetime of the listener's certificate, seconds; renewed at half. istiod's own has a day too. */
const CERTIFICATE_TTL_SECONDS = 24 * 3600
/** Time between attempts when the certificate cannot be renewed, milliseconds. */
const RENEWAL_RETRY_MS = 60_000
/**
 * Largest request, bytes: a client that reconnects lists name and version of
 * everything it holds, about 90 bytes for each of 100,000 workloads.
 */
const MAX_REQUEST_BYTES = 32 * 1024 * 1024
/** More connections are refused: a stranger costs a socket and a TLS state until it proves who it is. */
const MAX_CONNECTIONS = 8192
/** Calls at once on a connection: a node has one ADS stream and at most 8 certificate requests. */
const MAX_STREAMS_PER_CONNECTION = 100
/**
 * What a call may send before it is read; HTTP/2's default. A stranger can make
 * us hold it once per request. Answers, which are large, have the client's
 * window, and no request but a reconnecting client's first is. Bytes.
 */
const WINDOW_BYTES = 65_535
/** A client that does not finish its TLS handshake is dropped, milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 10_000
/** Nor may one stay that has not shown a good token so long after its handshake: strangers could take all connections. Milliseconds. */
export const STRANGER_TIMEOUT_MS = 10_000
/** Requests of a connection without a good token; more end it, for each is a signature to check and a line in the log. */
export const MAX_STRANGER_REQUESTS = 32
/** istiod pings every 30 s; a connection that does not answer until the next is dead. Milliseconds. */
const PING_INTERVAL_MS = 30_000
/** How long `close` waits for clients to take their leave, milliseconds. */
const CLOSE_GRACE_MS = 2_000

/** Binds the listener with a certificate of its own from the CA, and keeps that certificate fresh. */
export async function openGrpcListener(options: GrpcListenerOptions): Promise<GrpcListener> {
  const { ca, names } = options
  const issue = () => ca.issueServerCertificate({ ...names, ttlSeconds: CERTIFICATE_TTL_SECONDS })
  const stopping = new AbortController()
  const { notAfter, ...credentials } = await issue()
  const serve = connectNodeAdapter({
    routes: options.routes,
    readMaxBytes: MAX_REQUEST_BYTES,
    // A mesh compressed anew for each proxy costs more than the network that it saves: they are near.
    acceptCompression: [],
    shutdownSignal: stopping.signal,
    contextValues: ({ socket }) => createContextValues().set(peerAddress, socket.remoteAddress ?? ''),
  })
  const admit = strangerGate(options)
  const server = createSecureServer(
    {
      ...credentials,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      settings: { initialWindowSize: WINDOW_BYTES, maxConcurrentStreams: MAX_STREAMS_PER_CONNECTION },
    },
    (request, response) => {
      const { session } = request.stream
      if (session !== undefined) admit.request(session, request.headers.authorization)
      serve(request, response)
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  server.on('session', (session) => admit.connected(session))
  const sessions = trackSessions(server, options.log)
  const address = await listen(server, options.listen)
  // Without a listener a failed accept (no memory, no descriptors) would end the process.
  server.on('error', (err) => options.log.error({ err }, 'a connection could not be accepted'))
  const renewal = keepFresh(server, issue, notAfter, options)
  // A client may soon trust the new root alone.
  const stopFollowing = ca.onReplace(renewal.renewNow)
  return {
    address,
    async close() {
      stopFollowing()
      renewal.cancel()
      stopping.abort()
      await closeServer(server, sessions)
    },
  }
}

/** Ends connections that never prove whose they are. */
function strangerGate({ authenticate, log, clock = systemClock }: GrpcListenerOptions): {
  connected(session: Http2Session): void
  request(session: Http2Session, authorization: string | undefined): void
} {
  const strangers = new Map<Http2Session, { requests: number; cancel: () => void }>()
  const forget = (session: Http2Session) => {
    strangers.get(session)?.cancel()
    strangers.delete(session)
  }
  const cut = (session: Http2Session, reason: string) => {
    log.warn({ peer: session.socket?.remoteAddress, reason }, 'connection without a good token is closed')
    session.destroy()
  }
  return {
    connected(session) {
      const late = () => cut(session, `none within ${STRANGER_TIMEOUT_MS} ms`)
      strangers.set(session, { requests: 0, cancel: clock.schedule(STRANGER_TIMEOUT_MS, late) })
      session.once('close', () => forget(session))
    },
    request(session, authorization) {
      const stranger = strangers.get(session)
      if (stranger === undefined) return
      stranger.requests++
      if (stranger.requests > MAX_STRANGER_REQUESTS)
        return cut(session, `none in ${MAX_STRANGER_REQUESTS} requests`)
      void authenticate(new Headers(authorization === undefined ? {} : { authorization })).then(
        () => forget(session),
        // The service that was called says so.
        () => undefined,
      )
    },
  }
}

function trackSessions(server: Http2SecureServer, log: IdentityLog): ReadonlySet<ServerHttp2Session> {
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    let answered = true
    const pinging = setInterval(() => {
      if (!answered) return session.destroy()
      answered = false
      session.ping(() => {
        answered = true
      })
    }, PING_INTERVAL_MS)
    pinging.unref()
    session.once('close', () => {
      clearInterval(pinging)
      sessions.delete(session)
    })
    // Without a listener a peer's reset would end the process.
    session.on('error', (err) => log.debug({ err }, 'connection failed'))
  })
  server.on('tlsClientError', (err) => log.debug({ err }, 'TLS handshake failed'))
  return sessions
}

function keepFresh(
  server: Http2SecureServer,
  issue: () => ReturnType<CertificateAuthority['issueServerCertificate']>,
  firstNotAfter: Date,
  { log, clock = systemClock }: GrpcListenerOptions,
): { renewNow(): void; cancel(): void } {
  let cancel: () => void = () => {}
  let cancelled = false
  const renewAt = (notAfter: Date) => Math.max(1000, (notAfter.getTime() - clock.now()) / 2)
  const schedule = (delayMs: number) => {
    cancel()
    if (!cancelled) cancel = clock.schedule(delayMs, () => void renew())
  }
  const renew = async () => {
    try {
      const { notAfter, ...credentials } = await issue()
      server.setSecureContext(credentials)
      schedule(renewAt(notAfter))
    } catch (err) {
      log.error({ err }, 'the TLS certificate of the config server cannot be renewed')
      schedule(RENEWAL_RETRY_MS)
    }
  }
  schedule(renewAt(firstNotAfter))
  return {
    renewNow: () => schedule(0),
    cancel() {
      cancelled = true
      cancel()
    },
  }
}

/** GOAWAY to all, a while for streams to end, then the rest is cut. */
async function closeServer(
  server: Http2SecureServer,
  sessions: ReadonlySet<ServerHttp2Session>,
): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  for (const session of sessions) session.close()
  const cut = setTimeout(() => {
    for (const session of sessions) session.destroy()
  }, CLOSE_GRACE_MS)
  await closed
  clearTimeout(cut)
}
