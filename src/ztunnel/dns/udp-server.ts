import { createSocket, type Socket } from 'node:dgram'
import { closeSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import type { Responder } from './responder.ts'

export interface DnsServerOptions {
  readonly responder: Pick<Responder, 'respond'>
  /** Bound; ours from now on. */
  readonly fd: number
  readonly family: 4 | 6
  readonly onError: (error: Error) => void
}

/** One of the workload's DNS sockets. Answers from `run` on; until then the kernel keeps what comes. */
export interface DnsServer {
  run(): Promise<AddressInfo>
  /** Takes nothing new; resolves when what is under way has been answered. */
  drain(): Promise<void>
  close(): void
}

/**
 * Questions under way at once. Answers out of the mesh take no time and forwarded ones are limited elsewhere, so this
 * is reached only while the workload itself is not known yet; what comes then is dropped and asked again.
 */
const MAX_IN_FLIGHT = 1024

/** DNS over UDP on one address. */
export class UdpServer implements DnsServer {
  readonly #options: DnsServerOptions
  readonly #idle: (() => void)[] = []
  #socket: Socket | undefined
  #inFlight = 0
  #draining = false
  #closed = false

  constructor(options: DnsServerOptions) {
    this.#options = options
  }

  async run(): Promise<AddressInfo> {
    const { fd, family, onError } = this.#options
    const socket = createSocket(family === 4 ? 'udp4' : 'udp6')
    this.#socket = socket
    socket.on('error', onError)
    socket.on('message', (bytes, { address, port }) => void this.#serve(bytes, address, port))
    socket.bind({ fd, exclusive: true })
    return socket.address()
  }

  /** A UDP socket has no end that peers see: it is closed when the last reply has gone out. */
  async drain(): Promise<void> {
    this.#draining = true
    if (this.#inFlight > 0) await new Promise<void>((resolve) => void this.#idle.push(resolve))
    this.close()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#socket === undefined) closeSync(this.#options.fd)
    else this.#socket.close()
    // Node forgets the callbacks of what had not gone out yet.
    this.#isIdle()
  }

  async #serve(bytes: Buffer, address: string, port: number): Promise<void> {
    if (this.#draining || this.#inFlight >= MAX_IN_FLIGHT) return
    // A raw socket can say that it is port 0; no reply can go there.
    if (port === 0) return
    this.#inFlight += 1
    const reply = await this.#options.responder.respond(bytes, 'udp')
    if (reply !== undefined && !this.#closed) await this.#send(reply, address, port)
    this.#inFlight -= 1
    if (this.#inFlight === 0) this.#isIdle()
  }

  #isIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Resolves when it has gone out, so that a drain does not close before; a client that is gone is no error of ours. */
  #send(reply: Buffer, address: string, port: number): Promise<void> {
    return new Promise((resolve) => this.#socket?.send(reply, port, address, () => resolve()))
  }
}
