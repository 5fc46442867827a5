import { createServer, isIPv6, Socket } from 'node:net'
import { listenTcp, type NetworkNamespace, openTcpSocket } from '../../../src/linux/index.ts'

/** An application of a pod, played by the test: it gets each connection, unread, and half-open. */
export class TestApp implements Disposable {
  readonly #server
  readonly #sockets = new Set<Socket>()
  readonly #unclaimed: Socket[] = []
  readonly #claims: ((socket: Socket) => void)[] = []

  constructor(namespace: NetworkNamespace, address: string, port: number) {
    const { fd } = namespace.run(() => listenTcp({ address, port }))
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      socket.on('error', ignore)
      this.#sockets.add(socket)
      const claim = this.#claims.shift()
      if (claim === undefined) this.#unclaimed.push(socket)
      else claim(socket)
    })
    this.#server.listen({ fd })
  }

  /** Connections so far, claimed or not. */
  get connections(): number {
    return this.#sockets.size
  }

  /** The next connection. */
  accept(): Promise<Socket> {
    const socket = this.#unclaimed.shift()
    if (socket !== undefined) return Promise.resolve(socket)
    return new Promise((resolve) => this.#claims.push(resolve))
  }

  /** The same where the client program may be turned away: rejects when that is told first. */
  acceptBefore(clientEnds: Promise<unknown>): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = this.#unclaimed.shift()
      if (socket !== undefined) return resolve(socket)
      this.#claims.push(resolve)
      void clientEnds.then(() => {
        const index = this.#claims.indexOf(resolve)
        if (index === -1) return
        // Else it would take the next client's.
        this.#claims.splice(index, 1)
        reject(new Error('the client’s connection ended, and none came'))
      })
    })
  }

  [Symbol.dispose](): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}

/**
 * A client program's connection out of a namespace, half-open; resolves when it
 * is connected, or was and is over already: a proxy that will not have it may be that fast.
 */
export async function dialIn(namespace: NetworkNamespace, host: string, port: number): Promise<Socket> {
  const fd = namespace.run(() => openTcpSocket({ family: isIPv6(host) ? 6 : 4 }))
  // Reading must not begin before the connect.
  const options: object = { fd, readable: true, writable: true, manualStart: true, allowHalfOpen: true }
  const socket = new Socket(options).connect({ host, port })
  socket.pause()
  socket.on('error', ignore)
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve()).once('close', () => resolve())
  })
  return socket
}

function ignore(): void {}
