import type { Socket } from 'node:net'
import { framed, readLength } from './exchange.ts'
import type { Responder } from './responder.ts'

/** How long a connection may be without a question, or without reading its answer (wire/ztunnel 12.9). */
const IDLE_MS = 5_000

/** Questions of one connection that wait for their answers; the next ones stay in the kernel meanwhile. */
const MAX_PIPELINED = 16

/**
 * One client's connection: questions follow each other and may be answered in another order (RFC 7766 6.2.1.1, 7).
 * Only a whole question counts as life; one that trickles in byte by byte is not waited for longer than none.
 */
export class TcpConnection {
  readonly #socket: Socket
  readonly #responder: Pick<Responder, 'respond'>
  readonly #idleTimer: NodeJS.Timeout
  readonly #ended: Promise<void>
  #expected: number | undefined
  #inFlight = 0
  #noMore = false

  constructor(socket: Socket, responder: Pick<Responder, 'respond'>, onClose: () => void) {
    this.#socket = socket
    this.#responder = responder
    this.#idleTimer = setTimeout(() => this.#onIdle(), IDLE_MS)
    this.#ended = new Promise((resolve) => {
      socket.on('close', () => {
        clearTimeout(this.#idleTimer)
        onClose()
        resolve()
      })
    })
    // The client is gone, and with it whoever could be told.
    socket.on('error', () => socket.destroy())
    socket.on('readable', () => this.#read())
    socket.on('drain', () => this.#read())
    socket.on('end', () => this.#finish())
  }

  /** Answers what has been asked and takes no more; resolves when the connection is closed. */
  drain(): Promise<void> {
    this.#finish()
    return this.#ended
  }

  close(): void {
    this.#socket.destroy()
  }

  #read(): void {
    while (!this.#noMore && this.#inFlight < MAX_PIPELINED && !this.#socket.writableNeedDrain) {
      this.#expected ??= readLength(this.#socket)
      if (this.#expected === undefined) return
      const message: Buffer | null = this.#expected === 0 ? EMPTY : this.#socket.read(this.#expected)
      if (message === null) return
      // At the end of the stream `read` gives what there is.
      if (message.length < this.#expected) return
      this.#expected = undefined
      void this.#serve(message)
    }
  }

  async #serve(message: Buffer): Promise<void> {
    this.#inFlight += 1
    this.#idleTimer.refresh()
    const reply = await this.#responder.respond(message, 'tcp')
    this.#inFlight -= 1
    if (this.#socket.destroyed) return
    // What cannot be answered cannot be followed by anything that could be understood.
    if (reply === undefined) return void this.#socket.destroy()
    this.#socket.write(framed(reply))
    this.#idleTimer.refresh()
    if (this.#noMore) this.#finish()
    else this.#read()
  }

  /** A name server may be slower than clients may be idle. */
  #onIdle(): void {
    if (this.#inFlight > 0) this.#idleTimer.refresh()
    else this.#socket.destroy()
  }

  /** Our end follows when the last answer has been written. */
  #finish(): void {
    this.#noMore = true
    if (this.#inFlight === 0) this.#socket.end(() => this.#socket.destroy())
  }
}

const EMPTY = Buffer.alloc(0)
