import { closeSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { TcpConnection } from './tcp-connection.ts'
import type { DnsServer, DnsServerOptions } from './udp-server.ts'

/** Open connections at once: each holds a descriptor, and a client needs one for a moment only. */
const MAX_CONNECTIONS = 256

/** DNS over TCP on one address (RFC 7766). */
export class TcpServer implements DnsServer {
  readonly #options: DnsServerOptions
  readonly #connections = new Set<TcpConnection>()
  #server: Server | undefined
  #closed = false

  constructor(options: DnsServerOptions) {
    this.#options = options
  }

  run(): Promise<AddressInfo> {
    const { fd, responder, onError } = this.#options
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const connection = new TcpConnection(socket, responder, () => this.#connections.delete(connection))
      this.#connections.add(connection)
    })
    server.maxConnections = MAX_CONNECTIONS
    server.on('error', onError)
    this.#server = server
    return new Promise((resolve) => {
      server.listen({ fd, exclusive: true }, () => {
        const address = server.address()
        if (address !== null && typeof address === 'object') resolve(address)
      })
    })
  }

  async drain(): Promise<void> {
    this.#stopListening()
    await Promise.all([...this.#connections].map((connection) => connection.drain()))
  }

  close(): void {
    this.#stopListening()
    for (const connection of this.#connections) connection.close()
  }

  #stopListening(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#server === undefined) closeSync(this.#options.fd)
    else this.#server.close()
  }
}
