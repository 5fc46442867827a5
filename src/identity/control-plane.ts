import { isIP } from 'node:net'
import { checkServerIdentity, connect as connectTls, type PeerCertificate, type TLSSocket } from 'node:tls'
import { Code, ConnectError, type Transport } from '@connectrpc/connect'
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node'
import { controlPlaneRoots, type RootSource } from './control-plane-roots.ts'
import { errorText, IdentityError } from './errors.ts'
import { type IdentityLog, silentLog } from './log.ts'
import { MESH_CIPHERS } from './x509-svid.ts'

/** How the CA or the xDS server is reached. */
export interface ControlPlaneOptions extends RootSource {
  /** `https://host:port`; nothing else than https is spoken. */
  readonly address: string
  /** A second DNS name that the server's certificate may carry (ALT_CA_HOSTNAME, ALT_XDS_HOSTNAME). SNI stays the address's. */
  readonly alternativeHostname?: string
  /** Largest message accepted, bytes. Default 4 MiB, gRPC's. */
  readonly readMaxBytes?: number
  /** TCP and TLS together, milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number
  readonly log?: IdentityLog
}

/** A gRPC transport that owns its connection. */
export interface ControlPlaneTransport extends Transport {
  /** Ends the connection and every call on it; a later call connects anew. */
  close(): void
}

/**
 * gRPC over HTTP/2 and TLS 1.3 with server authentication only, as ztunnel
 * speaks to istiod: TCP keepalive, a PING every 30 s during calls. The roots are looked up
 * at each call; when they changed, this and later calls use a new connection,
 * and calls that are under way finish on the old one. Calls fail with an
 * `IdentityError` CONTROL_PLANE_INVALID when there are no usable roots, with a
 * `ConnectError` UNAVAILABLE when no connection comes about. Throws
 * CONTROL_PLANE_INVALID at once for an unusable address.
 */
export function controlPlaneTransport(options: ControlPlaneOptions): ControlPlaneTransport {
  const address = parseAddress(options.address)
  const roots = controlPlaneRoots(options, options.log ?? silentLog)
  const managers = new Set<Http2SessionManager>()
  let current: Connection | undefined

  const connected = async (): Promise<Transport> => {
    const latest = await roots()
    if (current?.roots !== latest) {
      for (const manager of managers) if (isDone(manager)) managers.delete(manager)
      const manager = sessionManager(address, options, latest)
      managers.add(manager)
      current = { roots: latest, manager, transport: grpcTransport(address, options, manager) }
    }
    const { manager, transport } = current
    if ((await manager.connect()) === 'error') throw connectFailure(address, manager.error())
    return transport
  }
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      return (await connected()).unary(method, signal, timeoutMs, header, input, contextValues)
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      return (await connected()).stream(method, signal, timeoutMs, header, input, contextValues)
    },
    close() {
      for (const manager of managers) manager.abort()
    },
  }
}

interface Connection {
  readonly roots: readonly string[]
  readonly manager: Http2SessionManager
  readonly transport: Transport
}

/** UNAVAILABLE, as every gRPC client says; connect-es calls a failed TLS handshake INTERNAL. */
function connectFailure(address: URL, reason: unknown): ConnectError {
  const message = `cannot connect to ${address.host}: ${errorText(innermostCause(reason))}`
  return new ConnectError(message, Code.Unavailable, undefined, undefined, reason)
}

/** Where the connection's own story is: name mismatch, unknown issuer, refused. */
function innermostCause(error: unknown): unknown {
  let current = error
  for (let depth = 0; depth < MAX_CAUSES; depth++) {
    if (!(current instanceof Error) || current.cause === undefined) break
    current = current.cause
  }
  return current
}

function grpcTransport(address: URL, options: ControlPlaneOptions, sessions: Http2SessionManager): Transport {
  return createGrpcTransport({
    baseUrl: address.origin,
    sessionManager: sessions,
    readMaxBytes: options.readMaxBytes ?? GRPC_DEFAULT_MAX_BYTES,
  })
}

function sessionManager(
  address: URL,
  options: ControlPlaneOptions,
  roots: readonly string[],
): Http2SessionManager {
  // An idle connection is verified by a PING before its next call. With PINGs while it is idle, Connect sends one on a
  // connection that was closed in the middle of a call, half a minute later, and nobody catches what that throws.
  const pings = { pingIntervalMs: PING_INTERVAL_MS, pingTimeoutMs: PING_TIMEOUT_MS }
  return new Http2SessionManager(address, pings, {
    createConnection: () => connectControlPlane(address, options, roots),
  })
}

function connectControlPlane(
  address: URL,
  options: ControlPlaneOptions,
  roots: readonly string[],
): TLSSocket {
  const host = address.hostname.replace(/^\[|\]$/g, '')
  const socket = connectTls({
    host,
    port: Number(address.port || HTTPS_PORT),
    // An address in SNI is forbidden (RFC 6066 section 3).
    ...(isIP(host) !== 0 ? {} : { servername: host }),
    ca: [...roots],
    // As on the data path: a mounted root may be an intermediate.
    allowPartialTrustChain: true,
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.3',
    ciphers: MESH_CIPHERS,
    checkServerIdentity: (_name, cert) => nameProblem([host, options.alternativeHostname], cert),
  })
  const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS
  const timer = setTimeout(() => {
    const message = `no TLS connection to ${address.host} within ${timeoutMs} ms`
    socket.destroy(new IdentityError('CONTROL_PLANE_INVALID', message))
  }, timeoutMs)
  socket.once('secureConnect', () => clearTimeout(timer))
  socket.once('close', () => clearTimeout(timer))
  socket.setKeepAlive(true, KEEPALIVE_IDLE_MS, KEEPALIVE_INTERVAL_MS, KEEPALIVE_PROBES)
  return socket
}

/** The address's own name first, then the alternative; the first mismatch is the one to report. */
function nameProblem(names: readonly (string | undefined)[], cert: PeerCertificate): Error | undefined {
  let first: Error | undefined
  for (const name of names) {
    if (name === undefined || name === '') continue
    const problem = checkServerIdentity(name, cert)
    if (problem === undefined) return undefined
    first ??= problem
  }
  return first
}

function parseAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'https:' && url.hostname !== '') return url
  const message = `control plane address "${text}" is not https://HOST:PORT (plaintext is never used)`
  throw new IdentityError('CONTROL_PLANE_INVALID', message)
}

function isDone(manager: Http2SessionManager): boolean {
  const state = manager.state()
  return state === 'closed' || state === 'error'
}

const HTTPS_PORT = 443
/** As ztunnel. */
const CONNECT_TIMEOUT_MS = 5_000
/** gRPC's own default for a message. */
const GRPC_DEFAULT_MAX_BYTES = 4 * 1024 * 1024
/** As ztunnel: HTTP/2 PING finds a control plane that is gone, TCP keepalive a network that is. */
const PING_INTERVAL_MS = 30_000
const PING_TIMEOUT_MS = 10_000
const KEEPALIVE_IDLE_MS = 300_000
const KEEPALIVE_INTERVAL_MS = 75_000
const KEEPALIVE_PROBES = 9
/** A chain of causes may be a circle. */
const MAX_CAUSES = 10
