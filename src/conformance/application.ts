import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { CheckFailure } from './errors.ts'
import { type ProxyHeader, parseProxyHeader } from './proxy-header.ts'

/** The application's end of a tunnel. */
export interface AppConnection {
  /** Half-open: it ends when the check ends it. Paused; `received` reads it. */
  readonly socket: Socket
  /** What came after the ticket in the first packets. */
  readonly head: Buffer
  /** Set when the target wrote one. */
  readonly proxy: ProxyHeader | undefined
}

/** How an application saw its connection end. */
export type AppEnd = 'FIN' | 'reset' | 'still open'

/**
 * The application behind the target, served by the kit itself, so that both
 * ends of a tunnel are in the hands of a check. It sends back what it gets; a
 * connection that begins with a ticket, `conformance TICKET\n`, goes to the
 * check that waits for that ticket instead.
 */
export class Application {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #claims = new Map<string, (connection: AppConnection) => void>()
  #next = 1

  /** Takes a server that nobody listens to yet, e.g. one in another network namespace. */
  constructor(server: Server = createServer()) {
    this.#server = server
    server.on('connection', (socket: Socket) => {
      // Half-open, whatever the server was made with: FIN is a thing to test.
      socket.allowHalfOpen = true
      this.#sockets.add(socket)
      socket.on('error', ignore)
      socket.once('close', () => this.#sockets.delete(socket))
      this.#greet(socket)
    })
  }

  async listen(host: string, port: number): Promise<void> {
    this.#server.listen({ host, port })
    await once(this.#server, 'listening')
  }

  /** A new ticket, and the connection that will come with it. */
  ticket(): { readonly line: Buffer; readonly connection: Promise<AppConnection> } {
    const ticket = `${process.pid}-${this.#next++}`
    const connection = new Promise<AppConnection>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#claims.delete(ticket)
        reject(
          new CheckFailure(
            `the bytes of the tunnel did not reach the application in ${ARRIVAL_TIMEOUT_MS / 1000} s`,
          ),
        )
      }, ARRIVAL_TIMEOUT_MS)
      this.#claims.set(ticket, (claimed) => {
        clearTimeout(timer)
        resolve(claimed)
      })
    })
    // A check that failed before it waited for it.
    connection.catch(ignore)
    return { line: Buffer.from(`${MARK}${ticket}\n`), connection }
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #greet(socket: Socket): void {
    let seen: Buffer = Buffer.alloc(0)
    const onData = (bytes: Buffer): void => {
      seen = Buffer.concat([seen, bytes])
      const proxy = parseProxyHeader(seen)
      if (proxy === 'incomplete') return
      const rest = proxy === undefined ? seen : seen.subarray(proxy.bytes)
      const line = rest.subarray(0, MAX_TICKET_CHARS).toString('latin1')
      const isTicket = line.startsWith(MARK.slice(0, line.length))
      if (isTicket && !line.includes('\n') && line.length < MAX_TICKET_CHARS) return
      socket.off('data', onData).off('end', onEnd)
      const claim = isTicket ? this.#claims.get(line.slice(MARK.length, line.indexOf('\n'))) : undefined
      if (claim === undefined) {
        echo(socket, rest)
        return
      }
      this.#claims.delete(line.slice(MARK.length, line.indexOf('\n')))
      socket.pause()
      claim({ socket, head: rest.subarray(line.indexOf('\n') + 1), proxy })
    }
    const onEnd = (): void => {
      socket.off('data', onData)
      socket.end(seen)
    }
    socket.on('data', onData).once('end', onEnd)
  }
}

/** Everything that comes until the end, or until `bytes` are there; rejects after a while. */
export function received({ socket, head }: AppConnection, bytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const chunks = [head]
  let count = head.length
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(timer)
      socket.off('data', onData).pause()
      resolve(Buffer.concat(chunks))
    }
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk)
      count += chunk.length
      if (count >= bytes) finish()
    }
    const timer = setTimeout(() => {
      socket.off('data', onData)
      reject(
        new CheckFailure(`the application got ${count} bytes in ${ARRIVAL_TIMEOUT_MS / 1000} s, and no end`),
      )
    }, ARRIVAL_TIMEOUT_MS)
    if (count >= bytes || socket.destroyed || socket.readableEnded) return finish()
    socket.on('data', onData).once('end', finish).once('close', finish).resume()
  })
}

/** How the connection ends for the application, which reads on until then. */
export function ending({ socket }: AppConnection, timeoutMs = ARRIVAL_TIMEOUT_MS): Promise<AppEnd> {
  return new Promise((resolve) => {
    const done = (end: AppEnd) => (): void => {
      clearTimeout(timer)
      resolve(end)
    }
    const timer = setTimeout(done('still open'), timeoutMs)
    if (socket.readableEnded) return done('FIN')()
    if (socket.destroyed) return done('reset')()
    socket.once('end', done('FIN')).once('close', done('reset')).resume()
  })
}

function echo(socket: Socket, first: Buffer): void {
  socket.write(first)
  // Back-pressure and half-close, as any echo has them.
  socket.on('data', (bytes: Buffer) => {
    if (!socket.write(bytes)) socket.pause()
  })
  socket.on('drain', () => socket.resume())
  socket.once('end', () => socket.end())
}

const MARK = 'conformance '
/** Mark, process number, count and the line's end. */
const MAX_TICKET_CHARS = 40
/** Until what a check sends has come out at the application, milliseconds. */
const ARRIVAL_TIMEOUT_MS = 10_000

function ignore(): void {}
