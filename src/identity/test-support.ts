import { X509Certificate } from 'node:crypto'
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2'
import type { Server } from 'node:net'
import { connect, createServer, type SecureContextOptions, type TLSSocket } from 'node:tls'
import type { ConnectRouter } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { createInMemoryCa } from './ca-create.ts'
import { CertificateAuthority } from './certificate-authority.ts'
import type { Clock } from './clock.ts'
import { generateKeyPair } from './keys.ts'
import { verifyPeerTrustDomain, verifyServerIdentity } from './peer.ts'
import type { SpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import { type JsonGeneralNames, x509 } from './x509.ts'

/** Time that moves when told to; timers fire in order of their dates. */
export class ManualClock implements Clock {
  #now: number
  #timers: { at: number; run: () => void }[] = []

  constructor(now = Date.now()) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  schedule(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#now + delayMs, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Moves on, firing what falls due, and lets each timer's promises settle. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      const next = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#now = Math.max(this.#now, next.at)
      this.#timers = this.#timers.filter((timer) => timer !== next)
      next.run()
      await settled()
    }
    this.#now = end
    await settled()
  }

  /** When the next timer fires, from now, milliseconds. */
  get nextTimers(): number[] {
    return this.#timers.map((timer) => timer.at - this.#now).sort((a, b) => a - b)
  }
}

/** Lets every promise that can settle without I/O do so. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
}

export function workloadId(serviceAccount: string, trustDomain = 'cluster.local'): SpiffeId {
  return { trustDomain, namespace: 'default', serviceAccount }
}

export async function newAuthority(now?: () => number): Promise<CertificateAuthority> {
  const material = await createInMemoryCa(now === undefined ? {} : { now: now() })
  return new CertificateAuthority(material, now === undefined ? {} : { now })
}

/** A self-signed certificate with any SANs, as a hostile peer would make one. */
export async function certificateWithNames(names: JsonGeneralNames): Promise<X509Certificate> {
  const { SubjectAlternativeNameExtension, X509CertificateGenerator } = x509()
  const cert = await X509CertificateGenerator.createSelfSigned({
    keys: await generateKeyPair(),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new SubjectAlternativeNameExtension(names)],
  })
  return new X509Certificate(cert.toString('pem'))
}

export interface HandshakeResult {
  /** Undefined when this side was content. */
  readonly clientError: string | undefined
  readonly serverError: string | undefined
  readonly protocol: string | null | undefined
  readonly cipher: string | undefined
}

/** One mutual handshake on loopback, both sides checking as the data path does. */
export async function handshake(
  client: Svid,
  server: Svid,
  expected: readonly string[],
  trustDomain = 'cluster.local',
): Promise<HandshakeResult> {
  const listener = createServer({ ...server.serverOptions(), requestCert: true, rejectUnauthorized: true })
  const serverError = new Promise<string | undefined>((resolve) => {
    // Node reports a refused client certificate as "socket hang up"; the socket knows the reason.
    listener.once('tlsClientError', (error, socket) =>
      resolve(String(socket.authorizationError ?? error.message)),
    )
    listener.once('secureConnection', (socket: TLSSocket) => {
      const cert = socket.getPeerX509Certificate()
      resolve(cert === undefined ? 'no certificate' : verifyPeerTrustDomain(cert, trustDomain)?.message)
      socket.on('error', () => {})
      socket.end()
    })
  })
  const port = await listen(listener)
  try {
    return await dial(port, client, expected, serverError)
  } finally {
    listener.close()
  }
}

async function dial(
  port: number,
  svid: Svid,
  expected: readonly string[],
  serverError: Promise<string | undefined>,
): Promise<HandshakeResult> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    secureContext: svid.clientContext(),
    checkServerIdentity: (_name, peer) => verifyServerIdentity(new X509Certificate(peer.raw), expected),
  })
  const clientError = await new Promise<string | undefined>((resolve) => {
    socket.once('secureConnect', () => resolve(undefined))
    socket.once('error', (error) => resolve(error.message))
  })
  const result = {
    clientError,
    // A client that hangs up has left the server without an answer.
    serverError: clientError === undefined ? await serverError : undefined,
    protocol: socket.getProtocol(),
    cipher: socket.getCipher()?.name,
  }
  socket.on('error', () => {})
  socket.destroy()
  return result
}

export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on TCP')
  return address.port
}

/** A gRPC server on loopback over TLS; closed by the returned function. */
export async function serveGrpc(
  tls: SecureContextOptions,
  routes: (router: ConnectRouter) => void,
): Promise<{ port: number; server: Http2SecureServer; close: () => void }> {
  const server = createSecureServer({ ...tls, allowHTTP1: false }, connectNodeAdapter({ routes }))
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
  })
  const port = await listen(server)
  const close = (): void => {
    for (const session of sessions) session.destroy()
    server.close()
  }
  return { port, server, close }
}
