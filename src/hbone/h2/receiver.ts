import { DEFAULT_WINDOW, ERROR, errorName, FLAG, FRAME, MAX_31 } from './constants.ts'
import { Http2Error, protocolError, resetError } from './errors.ts'
import { areTrailers, type Message, parseMessage } from './field-rules.ts'
import type { FrameListener } from './frame-reader.ts'
import { HeaderBlocks } from './header-blocks.ts'
import type { FieldList } from './hpack-decoder.ts'
import { PeerBudget, type SessionLimits } from './peer-budget.ts'
import type { Http2Session } from './session.ts'
import { applySettings, type SessionSettings } from './session-settings.ts'
import type { TunnelStream } from './stream.ts'

export interface ReceiverOptions {
  readonly session: Http2Session
  /** Ours: what the peer has to keep to. */
  readonly settings: SessionSettings
  readonly connectionWindowSize: number
  readonly limits: SessionLimits
  /** As a server: a request that is well-formed. */
  readonly onStream?: ((stream: TunnelStream, message: Message) => void) | undefined
}

/** The receiving half of a session: what each frame of the peer means. Throws `Http2Error` for what ends the connection. */
export class Receiver implements FrameListener {
  readonly budget: PeerBudget
  readonly #options: ReceiverOptions
  readonly #session: Http2Session
  readonly #isClient: boolean
  readonly #headers: HeaderBlocks
  /** What the peer may still send on all streams together, bytes. */
  #window: number
  #credit = 0
  #settled = false
  /** Requests that are passed on at the end of this turn. */
  #requests: (readonly [TunnelStream, Message])[] = []
  #dataStream: TunnelStream | undefined
  #dataLength = 0

  constructor(options: ReceiverOptions) {
    const { session, settings, limits, connectionWindowSize } = options
    this.#options = options
    this.#session = session
    this.#isClient = session.role === 'client'
    // No SETTINGS make it smaller.
    this.#window = Math.max(connectionWindowSize, DEFAULT_WINDOW)
    this.budget = new PeerBudget(limits)
    const fields = { bytes: settings.maxHeaderListSize, count: limits.maxHeaderListPairs }
    this.#headers = new HeaderBlocks(fields, this.#onBlock)
  }

  onDataHead(streamId: number, length: number): void {
    if (this.#headers.open) throw protocolError('PROTOCOL_ERROR', 'DATA within a header block')
    this.#window -= length
    if (this.#window < 0) throw protocolError('FLOW_CONTROL_ERROR', 'DATA beyond the window')
    this.#dataLength = length
    const stream = this.#session.stream(streamId)
    this.#dataStream = stream !== undefined && this.#mayReceive(stream, length) ? stream : undefined
    // What was on its way when we reset the stream, mostly.
    if (stream === undefined) this.#checkOpened(streamId, 'DATA')
    this.#creditConnection(length)
  }

  onDataPiece(bytes: Buffer): void {
    this.#dataStream?.receive(bytes)
  }

  onDataEnd(endStream: boolean, padding: number): void {
    const stream = this.#dataStream
    this.#dataStream = undefined
    if (!endStream && this.#dataLength === padding) this.budget.idleFrame()
    // It may have ended with one of the pieces.
    if (stream === undefined) return
    if (padding > 0) stream.credit(padding)
    if (endStream && !stream.closed) stream.receiveEnd()
  }

  onUnknownFrame(): void {
    if (this.#headers.open) throw protocolError('PROTOCOL_ERROR', 'a frame within a header block')
    this.budget.idleFrame()
  }

  onFrame(type: number, flags: number, streamId: number, payload: Buffer): void {
    this.#checkOrder(type, streamId)
    switch (type) {
      case FRAME.HEADERS:
        if (this.#isClient) this.#checkOpened(streamId, 'HEADERS')
        else if (streamId % 2 === 0) throw protocolError('PROTOCOL_ERROR', `HEADERS on stream ${streamId}`)
        this.#headers.onHeaders(flags, streamId, payload)
        break
      case FRAME.CONTINUATION:
        if (payload.length === 0) this.budget.idleFrame()
        this.#headers.onContinuation(flags, streamId, payload)
        break
      case FRAME.RST_STREAM:
        this.#onReset(streamId, payload.readUInt32BE(0))
        break
      case FRAME.SETTINGS:
        if ((flags & FLAG.ACK) === 0) this.#onSettings(payload)
        break
      case FRAME.PING:
        if ((flags & FLAG.ACK) === 0) this.#answer(FRAME.PING, payload)
        else if (!this.#session.pong(payload)) this.budget.idleFrame()
        break
      case FRAME.GOAWAY:
        this.budget.idleFrame()
        this.#session.leave(payload.readUInt32BE(0) & MAX_31, payload.readUInt32BE(4))
        break
      case FRAME.WINDOW_UPDATE:
        this.#onWindowUpdate(streamId, payload.readUInt32BE(0) & MAX_31)
        break
      case FRAME.PRIORITY:
        this.budget.idleFrame()
        break
      default:
        throw protocolError('PROTOCOL_ERROR', 'PUSH_PROMISE')
    }
  }

  #checkOrder(type: number, streamId: number): void {
    if (!this.#settled && type !== FRAME.SETTINGS)
      throw protocolError('PROTOCOL_ERROR', 'the first frame is no SETTINGS')
    if (this.#headers.open && type !== FRAME.CONTINUATION)
      throw protocolError('PROTOCOL_ERROR', 'a frame within a header block')
    if (ON_CONNECTION.has(type) ? streamId !== 0 : type !== FRAME.WINDOW_UPDATE && streamId === 0)
      throw protocolError('PROTOCOL_ERROR', `a frame of type ${type} on stream ${streamId}`)
  }

  /** Whether DATA is in order on an open stream. */
  #mayReceive(stream: TunnelStream, length: number): boolean {
    if (stream.remoteEnded) this.#fail(stream, ERROR.STREAM_CLOSED, 'DATA behind END_STREAM')
    else if (this.#isClient && !stream.answered)
      this.#fail(stream, ERROR.PROTOCOL_ERROR, 'DATA before the answer')
    else if (length > stream.receiveWindow)
      this.#fail(stream, ERROR.FLOW_CONTROL_ERROR, 'DATA beyond the window')
    else {
      stream.receiveWindow -= length
      this.budget.held += length
      return true
    }
    return false
  }

  /** So many bytes are not held any more. */
  release(bytes: number): void {
    this.budget.held -= bytes
    this.#creditConnection(0)
  }

  /**
   * At once, whoever the bytes are for: one slow stream must not stop the
   * others. Only when too much is held do all have to wait.
   */
  #creditConnection(length: number): void {
    this.#credit += length
    if (this.#credit < this.#options.connectionWindowSize / 4 || this.budget.full) return
    this.#window += this.#credit
    this.#session.sendCredit(0, this.#credit)
    this.#credit = 0
  }

  readonly #onBlock = (streamId: number, endStream: boolean, list: FieldList): void => {
    const stream = this.#session.stream(streamId)
    if (this.#isClient) {
      if (stream === undefined) this.budget.lateAnswer()
      else {
        onAnswer(stream, endStream, list)
        // An interim one.
        if (!stream.answered && !stream.closed) this.budget.idleFrame()
      }
    } else if (stream !== undefined) {
      // TCP has no place for them (RFC 9113 section 8.5).
      const code = stream.remoteEnded ? ERROR.STREAM_CLOSED : ERROR.PROTOCOL_ERROR
      this.#fail(stream, code, 'HEADERS within a tunnel')
    } else if (this.#session.wasOpened(streamId)) this.budget.idleFrame()
    else this.#onRequest(streamId, endStream, list)
  }

  #onRequest(streamId: number, endStream: boolean, { fields, tooLarge }: FieldList): void {
    const session = this.#session
    // Above the last of our GOAWAY: the client sends it elsewhere.
    if (!session.admit(streamId)) return
    this.budget.checkAnswers()
    const isFull = session.streams >= this.#options.settings.maxConcurrentStreams
    const message = tooLarge ? undefined : parseMessage(fields, 'request')
    if (isFull || this.budget.full || message === undefined) {
      const tooMuch = this.budget.full || tooLarge ? ERROR.ENHANCE_YOUR_CALM : ERROR.PROTOCOL_ERROR
      this.budget.rejected()
      session.sendReset(streamId, isFull ? ERROR.REFUSED_STREAM : tooMuch)
      return
    }
    const stream = session.open(streamId)
    stream.remoteEnded = endStream
    if (this.#requests.length === 0) setImmediate(this.#passOn)
    this.#requests.push([stream, message])
  }

  /** Not before all that came with them was read: those that were reset by then are no work at all. */
  readonly #passOn = (): void => {
    const requests = this.#requests
    this.#requests = []
    for (const [stream, message] of requests) {
      if (!stream.closed) this.#options.onStream?.(stream, message)
    }
  }

  #onReset(streamId: number, code: number): void {
    const stream = this.#session.stream(streamId)
    // Both have reset it at the same time, mostly.
    if (stream === undefined) {
      this.#checkOpened(streamId, 'RST_STREAM')
      return
    }
    if (!this.#isClient) this.budget.reset()
    stream.resetCode = code
    stream.close(resetError(code))
  }

  #onSettings(payload: Buffer): void {
    const next = applySettings(this.#session.remoteSettings, payload, this.#isClient ? 'server' : 'client')
    // They may change every stream.
    if (this.#settled) this.budget.idleFrame()
    this.#settled = true
    // Before any DATA that they allow: until the peer has read this it goes by what it said before.
    this.#answer(FRAME.SETTINGS, EMPTY)
    this.#session.adopt(next)
    this.#session.onSettings()
  }

  #answer(type: typeof FRAME.PING | typeof FRAME.SETTINGS, payload: Buffer): void {
    this.budget.checkAnswers()
    this.budget.queueAnswer()
    this.#session.acknowledge(type, payload)
  }

  #onWindowUpdate(streamId: number, credit: number): void {
    if (streamId === 0) {
      if (credit === 0) throw protocolError('PROTOCOL_ERROR', 'credit of 0 for the connection')
      this.#session.widen(credit)
      return
    }
    const stream = this.#session.stream(streamId)
    if (stream === undefined) this.#checkOpened(streamId, 'WINDOW_UPDATE')
    else if (credit === 0) this.#fail(stream, ERROR.PROTOCOL_ERROR, 'credit of 0')
    else if (stream.sendWindow + credit > MAX_31)
      this.#fail(stream, ERROR.FLOW_CONTROL_ERROR, 'a window beyond 2³¹−1')
    else stream.widen(credit)
  }

  /** As a server: no better than a reset by the client, for it costs us the same. */
  #fail(stream: TunnelStream, code: number, what: string): void {
    if (!this.#isClient) this.budget.reset()
    fail(stream, code, what)
  }

  /** A frame on a stream that nobody has opened yet (RFC 9113 section 5.1). */
  #checkOpened(streamId: number, what: string): void {
    if (!this.#session.wasOpened(streamId))
      throw protocolError('PROTOCOL_ERROR', `${what} on stream ${streamId}, which nobody opened`)
  }
}

function onAnswer(stream: TunnelStream, endStream: boolean, { fields, tooLarge }: FieldList): void {
  if (tooLarge) fail(stream, ERROR.ENHANCE_YOUR_CALM, 'header fields beyond our limit')
  else if (stream.answered) onTrailers(stream, endStream, fields)
  else onFirstAnswer(stream, endStream, parseMessage(fields, 'answer'))
}

/** They mean nothing in a tunnel, but the end does. */
function onTrailers(stream: TunnelStream, endStream: boolean, fields: readonly string[]): void {
  if (endStream && !stream.remoteEnded && areTrailers(fields)) stream.receiveEnd()
  else fail(stream, ERROR.PROTOCOL_ERROR, 'malformed trailers')
}

function onFirstAnswer(stream: TunnelStream, endStream: boolean, message: Message | undefined): void {
  const isInterim = message?.status?.startsWith('1') === true
  if (message === undefined || (isInterim && endStream)) {
    fail(stream, ERROR.PROTOCOL_ERROR, 'a malformed answer')
    return
  }
  if (isInterim) return
  stream.answered = true
  stream.onAnswer?.(message)
  stream.onAnswer = undefined
  if (endStream && !stream.closed) stream.receiveEnd()
}

/** RST_STREAM for what the peer did wrong on one stream. */
function fail(stream: TunnelStream, code: number, what: string): void {
  stream.abort(new Http2Error('protocol', code, `${what} (${errorName(code)})`))
}

const EMPTY = Buffer.alloc(0)
const ON_CONNECTION: ReadonlySet<number> = new Set([FRAME.SETTINGS, FRAME.PING, FRAME.GOAWAY])
