import { createServer, type Server, type Socket } from 'node:net'
import { originalDestination, setNoDelay, socketFd } from '../../linux/index.ts'
import { canonicalAddress, formatSocketAddress, type SocketAddress } from '../../mesh/index.ts'
import { errorText, ProxyError } from '../errors.ts'
import type { CapturedConnection, ConnectionReply } from './handler.ts'
import type { SocketFactory } from './socket-factory.ts'
import { applyTcpLiveness, type TcpLiveness } from './tcp-liveness.ts'

/** A captured connection with its socket, paused. */
export interface CapturedSocket extends CapturedConnection {
  readonly socket: Socket
  /** Absent where the client knows nothing of the proxy and can be told by the socket's end only. */
  readonly reply?: ConnectionReply
}

export interface CaptureListenerOptions {
  readonly sockets: SocketFactory
  readonly address: string
  readonly port: number
  readonly transparent: 'required' | 'auto' | 'never'
  /** Of accepted sockets; undefined leaves the kernel's defaults. */
  readonly liveness: TcpLiveness | undefined
  readonly onConnection: (accepted: CapturedSocket) => void
  readonly onError: (error: Error) => void
}

/**
 * One capture port of one workload. Binds in `create`, so that a port in use
 * is an error before anything runs, and accepts from `run` on.
 */
export class CaptureListener {
  readonly transparent: boolean
  readonly #server: Server
  readonly #fd: number
  #running = false

  private constructor(server: Server, fd: number, transparent: boolean) {
    this.#server = server
    this.#fd = fd
    this.transparent = transparent
  }

  static create(options: CaptureListenerOptions): CaptureListener {
    const { fd, transparent } = bind(options)
    // Accepted sockets inherit both from the listening one: nothing is left to be set on each.
    setNoDelay(fd)
    if (options.liveness !== undefined) applyTcpLiveness(fd, options.liveness)
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    server.on('connection', (socket) => accept(socket, options))
    server.on('error', options.onError)
    return new CaptureListener(server, fd, transparent)
  }

  run(): Promise<void> {
    this.#running = true
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ fd: this.#fd }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  /** Refuses new connections; accepted ones live on. */
  close(): void {
    // An fd that no server took over must be closed as one that a server owns.
    if (!this.#running) this.#server.listen({ fd: this.#fd })
    this.#running = true
    this.#server.close()
  }
}

function bind(options: CaptureListenerOptions): { fd: number; transparent: boolean } {
  const { sockets, address, port, transparent } = options
  try {
    return sockets.listen({ address, port, transparent })
  } catch (error) {
    const where = formatSocketAddress({ address, port })
    throw new ProxyError('bind-failed', `failed to bind to address ${where}: ${errorText(error)}`, {
      cause: error,
    })
  }
}

function accept(socket: Socket, options: CaptureListenerOptions): void {
  const { remoteAddress, remotePort } = socket
  // The peer is gone already: there is nobody to answer and nothing to log.
  if (remoteAddress === undefined || remotePort === undefined) return void socket.destroy()
  const fd = socketFd(socket)
  const destination = fd === undefined ? undefined : destinationOf(socket, fd)
  if (destination === undefined) return void socket.destroy()
  const source = { address: canonicalAddress(remoteAddress), port: remotePort }
  options.onConnection({ socket, source, destination })
}

/** Where the client wanted to go: what netfilter remembers, else the address that it reached. */
function destinationOf(socket: Socket, fd: number): SocketAddress | undefined {
  const original = originalDestination(fd)
  if (original !== undefined) return { address: canonicalAddress(original.address), port: original.port }
  // A system call: made only where it is needed.
  const { localAddress, localPort } = socket
  if (localAddress === undefined || localPort === undefined) return undefined
  return { address: canonicalAddress(localAddress), port: localPort }
}
