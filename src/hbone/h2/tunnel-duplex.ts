import { Duplex } from 'node:stream'
import { ERROR } from './constants.ts'
import { ReceivedBytes } from './received-bytes.ts'
import type { StreamConsumer, TunnelStream } from './stream.ts'

/** A stream of HTTP/2 as a Node stream, for whoever wants one: TLS within a tunnel, an HTTP engine, a test. */
export class TunnelDuplex extends Duplex implements StreamConsumer {
  readonly tunnel: TunnelStream
  #uncredited = 0
  /** Behind what the reader has not taken yet: a chunk of its own for each byte would cost a hundred. */
  #waiting: ReceivedBytes | undefined
  /** The tunnel is, and what it had received is not read yet. */
  #over = false
  #idle: NodeJS.Timeout | undefined
  #onWritten: (() => void) | undefined

  constructor(tunnel: TunnelStream) {
    // Both halves end by themselves, as those of a tunnel do.
    super({ allowHalfOpen: true, autoDestroy: true, emitClose: true })
    this.tunnel = tunnel
    // Nobody may listen yet, and a reset must not crash the process.
    this.on('error', ignore)
    tunnel.consume(this)
  }

  /** RST_STREAM of either side, if there was one. */
  get rstCode(): number | undefined {
    return this.tunnel.resetCode
  }

  /** RST_STREAM; what has been received may still be read. */
  reset(code: number): void {
    this.tunnel.reset(code)
  }

  /** As that of a socket: 'timeout' when nothing has moved for so long, milliseconds; 0 is never. */
  setTimeout(ms: number, listener?: () => void): this {
    clearTimeout(this.#idle)
    this.#idle = ms === 0 ? undefined : setTimeout(() => this.emit('timeout'), ms)
    this.#idle?.unref()
    if (listener !== undefined) this.once('timeout', listener)
    return this
  }

  onBytes(bytes: Buffer): void {
    this.#idle?.refresh()
    this.#uncredited += bytes.length
    if (this.readableEnded || this.destroyed) this.#credit()
    else if (this.readableLength === 0) {
      this.push(Buffer.from(bytes))
      this.#credit()
    } else {
      this.#waiting ??= new ReceivedBytes()
      this.#waiting.append(bytes)
    }
  }

  onEnd(): void {
    this.#pushWaiting()
    this.push(null)
  }

  onRoom(): void {
    const written = this.#onWritten
    this.#onWritten = undefined
    written?.()
  }

  onEndSent(): void {}

  onClose(): void {
    const { error, complete, remoteEnded } = this.tunnel
    if (complete) {
      this.onRoom()
      return
    }
    // What came before the reset is there to be read; a reader that waits learns of the end by 'close'.
    this.#pushWaiting()
    if (this.readableEnded || (this.readableLength === 0 && !remoteEnded)) this.destroy(error)
    else {
      this.#over = true
      if (remoteEnded) this.once('end', () => this.destroy(error))
      this.onRoom()
    }
  }

  /** Everybody reads by this, 'data' included; Node calls `_read` only once until something is pushed. */
  override read(size?: number): unknown {
    const chunk: unknown = super.read(size)
    if (chunk !== null) this._read()
    return chunk
  }

  override _read(): void {
    this.#pushWaiting()
    this.#credit()
    const { error, remoteEnded } = this.tunnel
    if (this.#over && this.readableLength === 0 && !remoteEnded) this.destroy(error)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#idle?.refresh()
    if (this.tunnel.closed) done(this.tunnel.error ?? null)
    else if (this.tunnel.write(chunk)) done()
    else this.#onWritten = done
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#idle?.refresh()
    let roomy = !this.tunnel.closed
    for (const { chunk } of chunks) roomy = this.tunnel.write(chunk)
    if (roomy || this.tunnel.closed) done()
    else this.#onWritten = done
  }

  override _final(done: (error?: Error | null) => void): void {
    this.tunnel.end()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#onWritten = undefined
    this.#waiting = undefined
    clearTimeout(this.#idle)
    if (!this.tunnel.closed) this.tunnel.reset(error === null ? ERROR.CANCEL : ERROR.INTERNAL_ERROR)
    this.#credit()
    done(error)
  }

  #pushWaiting(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting !== undefined) for (const bytes of waiting.pieces()) this.push(bytes)
  }

  #credit(): void {
    const held = this.readableLength + (this.#waiting?.size ?? 0)
    const taken = this.#uncredited - (this.destroyed ? 0 : held)
    if (taken <= 0) return
    this.#uncredited -= taken
    this.tunnel.credit(taken)
  }
}

function ignore(): void {}
