import type { Socket } from 'node:net'
import { isBenign } from './benign.ts'
import type { Cancellation } from './cancellation.ts'
import { abortError } from './errors.ts'
import { ERROR } from './h2/constants.ts'
import { OutBuffer } from './h2/out-buffer.ts'
import { readInto } from './h2/read-into.ts'
import { SLAB_BYTES } from './h2/slab-pool.ts'
import type { StreamConsumer, TunnelStream } from './h2/stream.ts'
import type { PumpCounts, PumpResult } from './pump.ts'
import { release, releaseTunnel } from './release.ts'

/** `pump` for a socket and a tunnel: from memory that reads share, by one copy, into what is written next. */
export class TunnelPump implements StreamConsumer {
  readonly #socket: Socket
  readonly #tunnel: TunnelStream
  readonly #counts: PumpCounts
  readonly #signal: Cancellation | undefined
  readonly #outward: boolean
  readonly #onOver: (result: PumpResult) => void
  /** Towards the socket; made when the first byte comes, gone when the last has left. */
  #out: OutBuffer | undefined
  /** Received and not yet taken by the kernel, bytes. */
  #taken = 0
  #socketEnded = false
  /** Nothing more comes for the socket. */
  #tunnelEnded = false
  /** Socket to tunnel. */
  #intoDone = false
  #intoError: Error | undefined
  /** Tunnel to socket. */
  #outOfDone = false
  #outOfError: Error | undefined
  #over = false

  /** `outward`: whether the socket is the downstream, so that what it sends counts as sent. */
  constructor(
    socket: Socket,
    tunnel: TunnelStream,
    counts: PumpCounts,
    signal: Cancellation | undefined,
    outward: boolean,
    onOver: (result: PumpResult) => void,
  ) {
    this.#socket = socket
    this.#tunnel = tunnel
    this.#counts = counts
    this.#signal = signal
    this.#outward = outward
    this.#onOver = onOver
  }

  start(): void {
    const socket = this.#socket
    const tunnel = this.#tunnel
    const signal = this.#signal
    socket.on('error', this.#onSocketError)
    if (socket.errored) this.#onSocketError(socket.errored)
    // Events of the past do not come again.
    if (socket.destroyed || socket.writableFinished) this.#outOfDone = true
    socket.on('finish', this.#onSocketFinish)
    socket.on('close', this.#onSocketClose)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (signal?.aborted) this.#onAbort()
    tunnel.consume(this)
    if (socket.readableEnded || socket.destroyed) this.#onSocketEnd()
    else {
      socket.on('end', this.#onSocketEnd)
      readInto(socket, this.#onSocketBytes)
      socket.resume()
    }
    this.#check()
  }

  onBytes(bytes: Buffer): void {
    const socket = this.#socket
    const tunnel = this.#tunnel
    if (this.#outOfDone || socket.writableEnded) {
      tunnel.credit(bytes.length)
      return
    }
    if (this.#outward) this.#counts.received += bytes.length
    else this.#counts.sent += bytes.length
    this.#taken += bytes.length
    this.#out ??= new OutBuffer(socket, tunnel.session.slabs, (written) => this.#onWritten(written))
    const out = this.#out
    if (out.gathered === 0) tunnel.session.schedule(out)
    out.append(bytes)
    if (out.gathered >= SLAB_BYTES) out.flush()
  }

  onEnd(): void {
    this.#tunnelEnded = true
    this.#endSocket()
  }

  onRoom(): void {
    if (!this.#socketEnded && !this.#over) this.#socket.resume()
  }

  onEndSent(): void {
    this.#intoDone = true
    this.#check()
  }

  onClose(): void {
    const { error } = this.#tunnel
    if (error !== undefined && !isBenign(error)) {
      if (this.#tunnelEnded) this.#intoError ??= error
      else this.#outOfError ??= error
    }
    this.#intoDone = true
    if (!this.#tunnelEnded) this.onEnd()
    this.#check()
  }

  readonly #onSocketBytes = (bytes: Buffer): boolean => {
    // While it lingers, or when the tunnel is gone: read, and thrown away.
    if (this.#intoDone) return this.#over
    if (this.#outward) this.#counts.sent += bytes.length
    else this.#counts.received += bytes.length
    return this.#tunnel.write(bytes)
  }

  readonly #onSocketEnd = (): void => {
    if (this.#socketEnded) return
    this.#socketEnded = true
    this.#tunnel.end()
  }

  readonly #onSocketFinish = (): void => {
    this.#outOfDone = true
    this.#check()
  }

  /** Without FIN it is the end as well; what it received before was passed on. */
  readonly #onSocketClose = (): void => {
    this.#onSocketEnd()
    this.#onSocketFinish()
  }

  readonly #onSocketError = (error: Error): void => {
    if (isBenign(error)) return
    if (!this.#socketEnded) {
      if (!this.#intoDone) this.#intoError ??= error
    } else if (!this.#outOfDone) this.#outOfError ??= error
  }

  #onWritten(bytes: number): void {
    this.#taken -= bytes
    this.#tunnel.credit(bytes)
    if (this.#taken > 0) return
    this.#out = undefined
    if (this.#tunnelEnded) this.#endSocket()
  }

  readonly #onAbort = (): void => {
    this.#tunnel.reset(ERROR.CANCEL)
    this.#socket.destroy()
  }

  #endSocket(): void {
    const socket = this.#socket
    if (this.#outOfDone || this.#taken > 0) return
    if (socket.destroyed) this.#onSocketFinish()
    // 'finish' comes when everything was written, or 'close' when that failed.
    else if (!socket.writableEnded) socket.end()
  }

  #check(): void {
    if (!this.#intoDone || !this.#outOfDone || this.#over) return
    this.#over = true
    const socket = this.#socket
    const tunnel = this.#tunnel
    const signal = this.#signal
    signal?.removeEventListener('abort', this.#onAbort)
    socket.off('end', this.#onSocketEnd)
    socket.off('finish', this.#onSocketFinish)
    socket.off('close', this.#onSocketClose)
    if (this.#taken > 0) tunnel.credit(this.#taken)
    this.#taken = 0
    const result = signal?.aborted ? { error: abortError(signal) } : this.#result()
    releaseTunnel(tunnel)
    release(socket)
    this.#onOver(result)
  }

  #result(): PumpResult {
    const [sent, received] = this.#outward
      ? [this.#intoError, this.#outOfError]
      : [this.#outOfError, this.#intoError]
    if (sent !== undefined) return { error: sent, side: 'send' }
    return received === undefined ? { error: undefined } : { error: received, side: 'receive' }
  }
}
