import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import type { AppConnection, Application } from './application.ts'
import { Http2Connection, type Opening, REPLY_TIMEOUT_MS } from './connection.ts'
import type { ClientIdentity, Credentials } from './credentials.ts'
import { CheckFailure, errorText } from './errors.ts'
import { dataFrame } from './frames.ts'
import type { StreamView } from './stream.ts'
import { openTunnel } from './tunnel.ts'

/** What is tested, and what the checks have at hand. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly identity: ClientIdentity
  /** `HOST:PORT` of an application behind the target that echoes. */
  readonly authority?: string | undefined
  /** The application at `authority` is the kit's own. */
  readonly application?: Application | undefined
  /** One that policy forbids us. */
  readonly deniedAuthority?: string | undefined
  /** One where nobody listens. */
  readonly deadAuthority?: string | undefined
  /** One where the target speaks the PROXY protocol to the kit's own application. */
  readonly proxyAuthority?: string | undefined
  /** SPIFFE URI that the target must prove. */
  readonly serverIdentity?: string | undefined
  /** Makes the target drain. */
  readonly drain?: (() => Promise<void>) | undefined
  /** How long a timer of the target may take, seconds. */
  readonly patience: number
  /** Default: a plain connection from here. */
  readonly dial?: (() => Socket) | undefined
}

/** How a handshake ended, and what came of a first PING. */
export type Attempt =
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'served'; readonly protocol: string | null; readonly alpn: string | false }

/** What one check works with. All that it opens is closed when it has ended. */
export class CheckContext implements Disposable {
  readonly target: Target
  /** What its connections saw that no rule allows. */
  readonly #connections: Http2Connection[] = []
  readonly #sockets: Duplex[] = []

  constructor(target: Target) {
    this.target = target
  }

  get patienceMs(): number {
    return this.target.patience * 1000
  }

  /** `HOST:PORT` of the echo. Only for checks that need it. */
  get authority(): string {
    return need(this.target.authority, '--authority')
  }

  get application(): Application {
    return need(this.target.application, '--echo')
  }

  /** A TCP connection to the target, not yet up. */
  tcp(): Socket {
    const { dial, host, port } = this.target
    const socket = dial?.() ?? connectTcp({ host, port, allowHalfOpen: true })
    socket.on('error', ignore).setNoDelay(true)
    this.#sockets.push(socket)
    return socket
  }

  /** TLS as a good client, or with changes; rejects with `CheckFailure` when the handshake fails. */
  async tls(changes: ConnectionOptions = {}, credentials = this.target.identity.good): Promise<TLSSocket> {
    const socket = this.#startTls(changes, credentials)
    const closed = once(socket, 'close', { signal: AbortSignal.timeout(REPLY_TIMEOUT_MS) })
    const error = await Promise.race([
      once(socket, 'secureConnect').then(
        () => undefined,
        (reason: unknown) => reason,
      ),
      closed.then(
        () => new Error('the target closed the connection'),
        (reason: unknown) =>
          isAbort(reason) ? new Error(`not done in ${REPLY_TIMEOUT_MS / 1000} s`) : reason,
      ),
    ])
    if (error !== undefined) throw new CheckFailure(`TLS handshake: ${errorText(error)}`)
    // Node crashes when the socket is destroyed in the same turn, inside of its own callback.
    await new Promise(setImmediate)
    return socket
  }

  /** HTTP/2 over it. The preface is sent, nothing is awaited. */
  async http2(opening: Opening = {}, changes: ConnectionOptions = {}): Promise<Http2Connection> {
    const connection = new Http2Connection(await this.tls(changes), opening)
    this.#connections.push(connection)
    return connection
  }

  /** HTTP/2, and the first SETTINGS of the target. */
  async connected(opening: Opening = {}): Promise<Http2Connection> {
    const connection = await this.http2(opening)
    await connection.until('SETTINGS of the target', () => connection.frameTypes.length > 0)
    return connection
  }

  /**
   * Whether the target serves such a client: the proof is a PONG, since in TLS
   * 1.3 a client believes in a handshake before the server has seen its certificate.
   */
  async attempt(changes: ConnectionOptions, credentials: Credentials | undefined): Promise<Attempt> {
    let socket: TLSSocket
    try {
      socket = await this.tls(changes, credentials ?? { ...this.target.identity.good, key: '', chain: '' })
    } catch (error) {
      return { kind: 'refused', why: errorText(error) }
    }
    const connection = new Http2Connection(socket)
    this.#connections.push(connection)
    if (await connection.roundTrip())
      return { kind: 'served', protocol: socket.getProtocol(), alpn: socket.alpnProtocol ?? false }
    return { kind: 'refused', why: connection.describeEnd() }
  }

  /** Whether someone else is served now: a tunnel on a new connection, through to the echo. Throws `CheckFailure`. */
  async neighbour(): Promise<number> {
    const began = performance.now()
    const connection = await this.connected()
    if (this.target.authority === undefined) {
      if (!(await connection.roundTrip()))
        throw new CheckFailure(`another client: ${connection.describeEnd()}`)
    } else {
      const stream = await openTunnel(connection, this.authority)
      connection.write(dataFrame(stream.id, Buffer.from('neighbour'), true))
      await connection.until('echo for another client', () => stream.receivedBytes >= 9)
    }
    connection.destroy()
    return performance.now() - began
  }

  /** A tunnel with both of its ends: the kit's application has taken the other one. */
  async pair(
    connection: Http2Connection,
    authority = this.authority,
  ): Promise<{ readonly stream: StreamView; readonly app: AppConnection }> {
    const { line, connection: arrival } = this.application.ticket()
    const stream = await openTunnel(connection, authority)
    connection.write(dataFrame(stream.id, line))
    connection.spend(stream.id, line.length)
    const app = await arrival
    this.#sockets.push(app.socket)
    return { stream, app }
  }

  /** What any of its connections saw that breaks HTTP/2. */
  violation(): string | undefined {
    return this.#connections.map(({ violation }) => violation).find((text) => text !== undefined)
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection.destroy()
    for (const socket of this.#sockets) socket.destroy()
  }

  #startTls({ socket, ...changes }: ConnectionOptions, { key, chain, roots }: Credentials): TLSSocket {
    const tls = connectTls({
      socket: socket ?? this.tcp(),
      ...(key === '' ? {} : { key, cert: chain }),
      ca: roots,
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
      // What it proves is a check of its own; there is no host name in a mesh certificate.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...changes,
    })
    tls.on('error', ignore)
    this.#sockets.push(tls)
    return tls
  }
}

function need<T>(value: T | undefined, option: string): T {
  if (value === undefined) throw new Error(`a check uses ${option} without saying that it needs it`)
  return value
}

function isAbort(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'AbortError'
}

function ignore(): void {}
