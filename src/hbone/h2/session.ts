import { randomBytes } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { CLIENT_PREFACE, DEFAULT_WINDOW, ERROR, errorName, FLAG, FRAME, MAX_31 } from './constants.ts'
import { Http2Error, protocolError } from './errors.ts'
import type { Message } from './field-rules.ts'
import { FlushQueue } from './flush-queue.ts'
import { FrameReader } from './frame-reader.ts'
import { FrameWriter } from './frame-writer.ts'
import { MAX_HEADER_BLOCK } from './header-blocks.ts'
import { encodeAnswer, encodeConnect, type Fields } from './hpack-encoder.ts'
import type { SessionLimits } from './peer-budget.ts'
import { readInto } from './read-into.ts'
import { Receiver } from './receiver.ts'
import { DEFAULT_SETTINGS, encodeSettings, type SessionSettings } from './session-settings.ts'
import { SlabPool } from './slab-pool.ts'
import { TunnelStream } from './stream.ts'

export interface Http2SessionOptions {
  /** Up, its peer proven. The session ends with it, and it with the session. */
  readonly socket: TLSSocket
  /** Below TLS is a socket of the kernel: reads may share memory with others. */
  readonly isKernelSocket: boolean
  readonly role: 'client' | 'server'
  readonly settings: SessionSettings
  /** Receive window of the connection, bytes. */
  readonly connectionWindowSize: number
  readonly limits: SessionLimits
  /** As a server: a request that is well-formed. */
  readonly onStream?: (stream: TunnelStream, message: Message) => void
}

/** Above this much that the kernel has not taken, streams are asked to wait, bytes. */
const CONGESTED_BYTES = 512 * 1024
/** A stream gives credit in quarters of its window, and in no larger steps than this, bytes. */
const LARGEST_CREDIT_STEP = 1024 * 1024

/** One HTTP/2 connection over TLS, either end of it (RFC 9113), for CONNECT alone. */
export class Http2Session {
  readonly role: 'client' | 'server'
  /** What the peer has said about itself. */
  remoteSettings: SessionSettings = DEFAULT_SETTINGS
  /** What we may still send on all streams together, bytes. */
  sendWindow = DEFAULT_WINDOW
  /** No new streams: GOAWAY of either side, or the end. */
  closed = false
  /** The end: nothing is read or sent any more. */
  destroyed = false
  /** SETTINGS of the peer have come, first or again. */
  onSettings: () => void = ignore
  /** GOAWAY of the peer, without an error. */
  onGoaway: (lastStreamId: number) => void = ignore
  /** A stream is over. */
  onStreamClose: (stream: TunnelStream) => void = ignore
  /** The connection is over; with an error when it broke. Called once. */
  onClose: (error?: Error) => void = ignore
  /** Memory for what is on its way out, of the streams' other ends too. */
  readonly slabs = new SlabPool()
  /** A stream's credit is sent in steps of this, bytes. */
  readonly creditStep: number
  readonly #socket: TLSSocket
  readonly #streamWindow: number
  readonly #writer: FrameWriter
  readonly #reader: FrameReader
  readonly #receiver: Receiver
  readonly #flushes = new FlushQueue()
  readonly #streams = new Map<number, TunnelStream>()
  /** Have bytes and no window. */
  readonly #blocked = new Set<TunnelStream>()
  /** Wait for the end of a congestion. */
  readonly #waiting = new Set<TunnelStream>()
  readonly #pings: { readonly payload: Buffer; readonly onPong: () => void }[] = []
  #nextId = 1
  #lastPeerId = 0
  #lastTakenId = MAX_31
  #ended = false

  constructor(options: Http2SessionOptions) {
    const { socket, role, settings, connectionWindowSize, limits, onStream } = options
    this.role = role
    this.#socket = socket
    this.#streamWindow = settings.initialWindowSize
    this.creditStep = Math.max(1, Math.min(settings.initialWindowSize >> 2, LARGEST_CREDIT_STEP))
    this.#receiver = new Receiver({ session: this, settings, connectionWindowSize, limits, onStream })
    this.#reader = new FrameReader(this.#receiver, {
      maxFrameSize: settings.maxFrameSize,
      maxHeaderFragment: MAX_HEADER_BLOCK,
      preface: role === 'server',
    })
    this.#writer = new FrameWriter(socket, this.slabs, this.#onWritten)
    if (role === 'client') this.#writer.out.append(CLIENT_PREFACE)
    this.#writer.frame(FRAME.SETTINGS, 0, 0, encodeSettings(settings))
    if (connectionWindowSize > DEFAULT_WINDOW) this.sendCredit(0, connectionWindowSize - DEFAULT_WINDOW)
    // With what else is said in this turn: the GOAWAY of a server that drains comes before the first request.
    this.schedule()
    socket.on('error', (error) => this.#terminate(error))
    socket.on('end', () => this.#terminate())
    socket.on('close', () => this.#terminate())
    if (options.isKernelSocket) readInto(socket, this.#onBytes)
    else socket.on('data', this.#onBytes)
    socket.resume()
  }

  /** Open streams. */
  get streams(): number {
    return this.#streams.size
  }

  /** Whether streams should wait before they send more. */
  get congested(): boolean {
    return this.#writer.out.size > CONGESTED_BYTES
  }

  /** Whether a client has no stream id left. */
  get exhausted(): boolean {
    return this.#nextId > MAX_31
  }

  /** Sends a CONNECT. Throws `Http2Error` `unsendable` or `unsent`. */
  request(authority: string, fields: Fields): TunnelStream {
    const block = encodeConnect(authority, fields)
    if (this.closed || this.exhausted)
      throw new Http2Error('unsent', ERROR.REFUSED_STREAM, 'the connection takes no more streams')
    const stream = this.open(this.#nextId)
    this.#nextId += 2
    this.#writer.headers(stream.id, block, false, this.remoteSettings.maxFrameSize)
    this.schedule()
    return stream
  }

  /** Answers a request. Throws `Http2Error` `unsendable`. */
  answer(stream: TunnelStream, status: number, fields: Fields, endStream: boolean): void {
    const block = encodeAnswer(status, fields)
    stream.answered = true
    this.#receiver.budget.queueAnswer()
    this.#writer.headers(stream.id, block, endStream, this.remoteSettings.maxFrameSize)
    this.schedule()
  }

  /** Asks for a sign of life; never answered when the connection ends before. */
  ping(onPong: () => void): void {
    if (this.destroyed) return
    // Not to be guessed: an answer proves that the peer has read the question.
    const payload = randomBytes(PING_LENGTH)
    this.#pings.push({ payload, onPong })
    this.slabs.trim()
    this.#writer.frame(FRAME.PING, 0, 0, payload)
    this.schedule()
  }

  /** Only says it: the connection goes on. The last stream is that which was taken last, unless another is named. */
  goaway(code: number, lastStreamId: number = this.#lastPeerId): void {
    if (this.destroyed) return
    this.#lastTakenId = Math.min(this.#lastTakenId, lastStreamId)
    this.#writer.goaway(lastStreamId, code)
    this.schedule()
  }

  /** GOAWAY(NO_ERROR), and the end when the last stream is done. */
  close(): void {
    if (this.destroyed || this.#ended) return
    this.goaway(ERROR.NO_ERROR)
    this.closed = true
    if (this.#streams.size === 0) this.#end()
  }

  /** GOAWAY and the end, now. All streams get the error. */
  destroy(error?: Error, code: number = ERROR.NO_ERROR): void {
    if (this.destroyed) return
    if (!this.#ended) this.#writer.goaway(this.#lastPeerId, code)
    this.#terminate(error)
    // Of a flood no more is read, so that it ends with the connection.
    if (code === ERROR.ENHANCE_YOUR_CALM) this.#socket.pause()
  }

  /** A buffer to be flushed at the end of this turn; by default, that of the connection. */
  schedule(out = this.#writer.out): void {
    this.#flushes.add(out)
  }

  // For the streams.

  /** As much as there is window for. Returns how many bytes. */
  sendData(stream: TunnelStream, bytes: Buffer): number {
    const count = Math.max(0, Math.min(bytes.length, stream.sendWindow, this.sendWindow))
    if (count === 0) return 0
    stream.sendWindow -= count
    this.sendWindow -= count
    const part = count === bytes.length ? bytes : bytes.subarray(0, count)
    this.#writer.data(stream.id, part, this.remoteSettings.maxFrameSize)
    this.schedule()
    return count
  }

  sendEnd(streamId: number): void {
    this.#writer.end(streamId)
    this.schedule()
  }

  sendCredit(streamId: number, bytes: number): void {
    if (this.destroyed) return
    this.#writer.number(FRAME.WINDOW_UPDATE, streamId, bytes)
    this.schedule()
  }

  sendReset(streamId: number, code: number): void {
    if (this.destroyed) return
    const { budget } = this.#receiver
    budget.queueAnswer()
    if (this.role === 'client' && this.stream(streamId)?.answered === false) budget.expectLateAnswer()
    this.#writer.number(FRAME.RST_STREAM, streamId, code)
    this.schedule()
  }

  /** It has bytes and no window. */
  block(stream: TunnelStream): void {
    this.#blocked.add(stream)
  }

  /** It is to be told when the congestion is over. */
  awaitRoom(stream: TunnelStream): void {
    this.#waiting.add(stream)
  }

  /** Bytes that it held are taken. */
  release(bytes: number): void {
    this.#receiver.release(bytes)
  }

  /** The other way round: they are held after all. */
  hold(bytes: number): void {
    this.#receiver.budget.held += bytes
  }

  unblock(stream: TunnelStream): void {
    this.#blocked.delete(stream)
  }

  /** It is over. */
  forget(stream: TunnelStream): void {
    this.#streams.delete(stream.id)
    this.#blocked.delete(stream)
    this.#waiting.delete(stream)
    this.onStreamClose(stream)
    if (this.closed && this.#streams.size === 0) this.#end()
  }

  // For the receiver.

  stream(id: number): TunnelStream | undefined {
    return this.#streams.get(id)
  }

  open(id: number): TunnelStream {
    // The peer may not have read our SETTINGS yet, and go by the default.
    const receiveWindow = Math.max(this.#streamWindow, DEFAULT_WINDOW)
    const stream = new TunnelStream(this, id, this.remoteSettings.initialWindowSize, receiveWindow)
    this.#streams.set(id, stream)
    return stream
  }

  /** Whether a client has opened this stream, at any time. */
  wasOpened(id: number): boolean {
    return id % 2 === 1 && id <= (this.role === 'client' ? this.#nextId - 2 : this.#lastPeerId)
  }

  /** A request of the peer's: whether it is still taken. */
  admit(id: number): boolean {
    this.#lastPeerId = id
    return id <= this.#lastTakenId && !this.#ended
  }

  acknowledge(type: typeof FRAME.PING | typeof FRAME.SETTINGS, payload: Buffer): void {
    this.#writer.frame(type, FLAG.ACK, 0, payload)
    this.schedule()
  }

  /** Whether it answers the PING that has waited longest. */
  pong(payload: Buffer): boolean {
    const [ping] = this.#pings
    if (ping === undefined || !ping.payload.equals(payload)) return false
    this.#pings.shift()
    ping.onPong()
    return true
  }

  /** New settings of the peer. Windows of open streams change with them (RFC 9113 section 6.9.2). */
  adopt(settings: SessionSettings): void {
    const more = settings.initialWindowSize - this.remoteSettings.initialWindowSize
    this.remoteSettings = settings
    if (more === 0) return
    for (const stream of this.#streams.values()) {
      if (stream.sendWindow + more > MAX_31) throw windowOverflow()
      stream.sendWindow += more
    }
    this.#sendBlocked()
  }

  /** Credit for the connection. */
  widen(credit: number): void {
    const wasShut = this.sendWindow <= 0
    this.sendWindow += credit
    if (this.sendWindow > MAX_31) throw windowOverflow()
    // Otherwise it was not for this window that they waited: single bytes of credit must not have us look at them all.
    if (wasShut) this.#sendBlocked()
  }

  /** GOAWAY of the peer. */
  leave(lastStreamId: number, code: number): void {
    if (code !== ERROR.NO_ERROR) {
      this.destroy(new Http2Error('goaway', code, `the peer ended the connection: ${errorName(code)}`))
      return
    }
    this.onGoaway(lastStreamId)
    this.closed = true
    if (this.role === 'client') {
      const lost = Array.from(this.#streams.values()).filter(({ id }) => id > lastStreamId)
      for (const stream of lost) stream.close(connectionGone())
    }
    if (this.#streams.size === 0) this.#end()
  }

  readonly #onBytes = (bytes: Buffer): boolean => {
    if (this.destroyed) return true
    try {
      this.#reader.read(bytes)
    } catch (error) {
      if (!(error instanceof Http2Error)) throw error
      this.destroy(error, error.h2Code)
    }
    return true
  }

  readonly #onWritten = (): void => {
    this.#receiver.budget.answersLeft()
    if (this.#ended || this.destroyed) {
      this.#endSocket()
      return
    }
    if (this.#waiting.size === 0 || this.congested) return
    const waiting = Array.from(this.#waiting)
    this.#waiting.clear()
    for (const stream of waiting) stream.tellRoom()
  }

  #sendBlocked(): void {
    for (const stream of Array.from(this.#blocked)) {
      if (this.sendWindow <= 0) return
      stream.widen(0)
    }
  }

  /** Nothing is left to be done: what is written leaves, then the end. */
  #end(): void {
    if (this.#ended || this.destroyed) return
    this.#ended = true
    this.closed = true
    this.#endSocket()
  }

  /** The socket's end would overtake what waits behind a write. */
  #endSocket(): void {
    this.#writer.out.flush()
    if (this.#writer.out.size === 0 || this.#socket.destroyed) this.#socket.end()
  }

  #terminate(error?: Error): void {
    if (this.destroyed) return
    this.destroyed = true
    this.closed = true
    this.#reader.stop()
    for (const stream of Array.from(this.#streams.values())) stream.close(error ?? connectionGone())
    this.#pings.length = 0
    if (this.#socket.destroyed) this.#writer.out.clear()
    this.onClose(error)
    this.#endSocket()
  }
}

/** RFC 9113 section 6.7. */
const PING_LENGTH = 8

function windowOverflow(): Http2Error {
  return protocolError('FLOW_CONTROL_ERROR', 'a window beyond 2³¹−1')
}

function connectionGone(): Http2Error {
  return new Http2Error('closed', ERROR.NO_ERROR, 'the connection that carries the tunnel is gone')
}

function ignore(): void {}
