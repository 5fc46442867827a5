import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** A socket whose writes leave in pieces of a few bytes, each in a segment of its own. */
export class SlowWriter extends Duplex {
  readonly #socket: Socket

  constructor(socket: Socket) {
    super()
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => {
      if (!this.push(bytes)) socket.pause()
    })
    socket.once('end', () => this.push(null))
    socket.once('close', () => this.destroy())
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const next = (at: number): void => {
      if (at >= bytes.length || this.#socket.destroyed) {
        done()
        return
      }
      // The kernel has the piece, without Nagle's wait, before the next one is written.
      this.#socket.write(bytes.subarray(at, at + PIECE), () => setImmediate(next, at + PIECE))
    }
    next(0)
  }

  override _final(done: () => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }
}

/** Less than the head of a TLS record and the head of a handshake message together. */
const PIECE = 7
