import { ERROR } from './constants.ts'
import type { Http2Error } from './errors.ts'
import type { Message } from './field-rules.ts'
import type { Fields } from './hpack-encoder.ts'
import { ReceivedBytes } from './received-bytes.ts'
import type { Http2Session } from './session.ts'

/** Who takes what a stream receives. */
export interface StreamConsumer {
  /** Bytes that are only there during the call. To be given back by `credit` once they are dealt with. */
  onBytes(bytes: Buffer): void
  /** END_STREAM, after the last byte. */
  onEnd(): void
  /** It takes bytes again, after a `write` that said no. */
  onRoom(): void
  /** Our END_STREAM is on its way, behind all that was written. */
  onEndSent(): void
  /** It is over, after all that it had received: see `error` and `resetCode`. Comes once. */
  onClose(): void
}

/**
 * One stream of HTTP/2: a tunnel, or a request for one. Not a Node stream, for
 * ten thousand of them may be idle: it holds nothing but numbers until
 * something moves, has one consumer, and copies nothing that it can pass on.
 * `TunnelDuplex` is one for those who want a Node stream.
 */
export class TunnelStream {
  readonly session: Http2Session
  readonly id: number
  /** What we may still send, bytes; below zero when the peer made its windows smaller. */
  sendWindow: number
  /** What the peer may still send, bytes. */
  receiveWindow: number
  /** RST_STREAM, ours or the peer's; undefined without one. */
  resetCode: number | undefined
  /** Why it is over; undefined when it ended as it should, or was reset by us. */
  error: Error | undefined
  /** Both directions have ended, or it was reset, or the connection is gone. */
  closed = false
  /** END_STREAM of the peer has come. */
  remoteEnded = false
  /** END_STREAM of ours was sent, or follows what is pending. */
  localEnded = false
  /** As a client: the answer's fields have come. As a server: ours were sent. */
  answered = false
  /** As a client: told of the answer, once; of undefined when it is over without one. */
  onAnswer: ((answer: Message | undefined) => void) | undefined
  #endSent = false
  #consumer: StreamConsumer | undefined
  #received: ReceivedBytes | undefined
  #pending: Buffer[] | undefined
  #wantsRoom = false
  #credit = 0
  #onClosed: (() => void)[] | undefined

  constructor(session: Http2Session, id: number, sendWindow: number, receiveWindow: number) {
    this.session = session
    this.id = id
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
  }

  /** Whether both sides have said all, END_STREAM included. */
  get complete(): boolean {
    return this.#endSent && this.remoteEnded
  }

  /** Whether all of ours is on its way, END_STREAM included. */
  get endSent(): boolean {
    return this.#endSent
  }

  /** An answer without a body: END_STREAM goes with the fields. */
  answerAndEnd(status: number, fields: Fields): void {
    this.localEnded = true
    this.#endSent = true
    this.session.answer(this, status, fields, true)
  }

  /** From now on what is received goes there, beginning with what has come already. */
  consume(consumer: StreamConsumer): void {
    this.#consumer = consumer
    const received = this.#received
    this.#received = undefined
    if (received !== undefined) {
      if (this.closed) this.session.hold(received.size)
      for (const bytes of received.pieces()) consumer.onBytes(bytes)
    }
    if (this.remoteEnded) consumer.onEnd()
    if (this.closed) consumer.onClose()
  }

  /** Called once it is over; at once when it is. */
  whenClosed(listener: () => void): void {
    if (this.closed) listener()
    else if (this.#onClosed === undefined) this.#onClosed = [listener]
    else this.#onClosed.push(listener)
  }

  /** Sends bytes, or copies what there is no window for. False: wait for `onRoom`. Nothing is sent after an end. */
  write(bytes: Buffer): boolean {
    if (this.closed || this.localEnded) return true
    const sent = this.#pending === undefined ? this.session.sendData(this, bytes) : 0
    if (sent < bytes.length) {
      this.#pending ??= []
      this.#pending.push(Buffer.from(sent === 0 ? bytes : bytes.subarray(sent)))
      this.session.block(this)
    } else if (!this.session.congested) return true
    else this.session.awaitRoom(this)
    this.#wantsRoom = true
    return false
  }

  /** END_STREAM, after what is pending. */
  end(): void {
    if (this.closed || this.localEnded) return
    this.localEnded = true
    if (this.#pending === undefined) this.#sendEnd()
  }

  /** So many bytes of `onBytes` are dealt with: the peer may send as many more. */
  credit(bytes: number): void {
    this.session.release(bytes)
    if (this.closed || this.remoteEnded) return
    this.#credit += bytes
    if (this.#credit < this.session.creditStep) return
    this.receiveWindow += this.#credit
    this.session.sendCredit(this.id, this.#credit)
    this.#credit = 0
  }

  /** RST_STREAM, and the end of both directions. */
  reset(code: number): void {
    if (this.closed) return
    // Nothing is left to be cut short.
    if (!this.complete) {
      this.resetCode = code
      this.session.sendReset(this.id, code)
    }
    this.close()
    this.#received = undefined
  }

  /** The session's: bytes of DATA. */
  receive(bytes: Buffer): void {
    // It was reset in the middle of a frame.
    if (this.closed) this.session.release(bytes.length)
    else if (this.#consumer !== undefined) this.#consumer.onBytes(bytes)
    else {
      this.#received ??= new ReceivedBytes()
      this.#received.append(bytes)
    }
  }

  /** The session's: END_STREAM. */
  receiveEnd(): void {
    this.remoteEnded = true
    this.#consumer?.onEnd()
    if (this.#endSent) this.close()
  }

  /** The session's: RST_STREAM for what the peer did wrong. */
  abort(error: Http2Error): void {
    this.resetCode = error.h2Code
    this.session.sendReset(this.id, error.h2Code)
    this.close(error)
  }

  /** The session's: there is so much more window, for this stream or for all. */
  widen(credit: number): void {
    this.sendWindow += credit
    const pending = this.#pending
    if (pending === undefined || this.closed) return
    for (let first = pending[0]; first !== undefined; first = pending[0]) {
      const sent = this.session.sendData(this, first)
      if (sent < first.length) {
        if (sent > 0) pending[0] = first.subarray(sent)
        return
      }
      pending.shift()
    }
    this.#pending = undefined
    this.session.unblock(this)
    if (this.localEnded) this.#sendEnd()
    else if (this.session.congested) this.session.awaitRoom(this)
    else this.tellRoom()
  }

  /** The session's: it is not congested any more. */
  tellRoom(): void {
    if (!this.#wantsRoom || this.#pending !== undefined || this.closed) return
    this.#wantsRoom = false
    this.#consumer?.onRoom()
  }

  /** The session's, and our own: it is over. */
  close(error?: Error): void {
    if (this.closed) return
    this.closed = true
    this.error = error
    this.#pending = undefined
    // There may never be anybody who takes them.
    if (this.#received !== undefined) this.session.release(this.#received.size)
    this.session.forget(this)
    this.onAnswer?.(undefined)
    const listeners = this.#onClosed
    this.#onClosed = undefined
    this.#consumer?.onClose()
    if (listeners !== undefined) for (const listener of listeners) listener()
  }

  #sendEnd(): void {
    this.#endSent = true
    this.session.sendEnd(this.id)
    this.#consumer?.onEndSent()
    if (this.remoteEnded) this.close()
  }
}

/** Resets that are no complaint: the peer, or we, need no more of the stream. */
export const CALM_RESETS: ReadonlySet<number | undefined> = new Set([
  ERROR.NO_ERROR,
  ERROR.CANCEL,
  ERROR.STREAM_CLOSED,
])
