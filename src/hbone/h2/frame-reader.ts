import { CLIENT_PREFACE, FLAG, FRAME, FRAME_HEAD, MAX_31 } from './constants.ts'
import { protocolError } from './errors.ts'

/** What is in a peer's bytes, in their order. A payload is only there during the call. */
export interface FrameListener {
  /** DATA begins; `length` counts for flow control, padding included. */
  onDataHead(streamId: number, length: number): void
  /** A part of its payload, as soon as it is there. */
  onDataPiece(bytes: Buffer): void
  /** It is over; `padding` of its length was no payload. */
  onDataEnd(endStream: boolean, padding: number): void
  /** Any other frame that an RFC knows, whole; of GOAWAY without its debug data. */
  onFrame(type: number, flags: number, streamId: number, payload: Buffer): void
  /** A frame that no RFC knows; its payload is passed over. */
  onUnknownFrame(): void
}

export interface FrameReaderOptions {
  /** What we announced as MAX_FRAME_SIZE, bytes. */
  readonly maxFrameSize: number
  /** HEADERS and CONTINUATION beyond this are an attack, bytes. */
  readonly maxHeaderFragment: number
  /** Whether the client's preface comes first. */
  readonly preface: boolean
}

/** SETTINGS with more entries than this are an attack: there are ten settings in all RFCs. */
const MAX_SETTINGS = 32

const HEAD = 0
const PADDING = 1
const DATA = 2
const BODY = 3
const SKIP = 4
const PREFACE = 5
type State = typeof HEAD | typeof PADDING | typeof DATA | typeof BODY | typeof SKIP | typeof PREFACE

/**
 * Cuts a peer's bytes into frames, however they come. DATA is passed on as it
 * comes; of the rest at most one frame is held, whose length was judged first.
 * Throws `Http2Error` for what ends the connection.
 */
export class FrameReader {
  readonly #listener: FrameListener
  readonly #options: FrameReaderOptions
  #state: State
  /** What has come of a head, or of a preface. */
  #had = 0
  readonly #head = Buffer.alloc(FRAME_HEAD)
  #type = 0
  #flags = 0
  #streamId = 0
  /** Bytes of payload to come; padding of DATA not among them. */
  #left = 0
  #padding = 0
  #paddingLeft = 0
  #body: Buffer | undefined
  #bodyLength = 0
  #stopped = false

  constructor(listener: FrameListener, options: FrameReaderOptions) {
    this.#listener = listener
    this.#options = options
    this.#state = options.preface ? PREFACE : HEAD
  }

  read(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length && !this.#stopped) {
      switch (this.#state) {
        case HEAD:
          at = this.#readHead(bytes, at)
          break
        case DATA:
          at = this.#readData(bytes, at)
          break
        case BODY:
          at = this.#readBody(bytes, at)
          break
        case SKIP:
          at = this.#skip(bytes, at)
          break
        case PADDING:
          this.#startData(bytes[at++] ?? 0)
          break
        case PREFACE:
          at = this.#readPreface(bytes, at)
      }
    }
  }

  /** Nothing more is read, not even the rest of what is being read now. */
  stop(): void {
    this.#stopped = true
  }

  #readPreface(bytes: Buffer, at: number): number {
    const count = Math.min(CLIENT_PREFACE.length - this.#had, bytes.length - at)
    if (bytes.compare(CLIENT_PREFACE, this.#had, this.#had + count, at, at + count) !== 0)
      throw protocolError('PROTOCOL_ERROR', 'the peer does not speak HTTP/2')
    this.#had += count
    if (this.#had === CLIENT_PREFACE.length) {
      this.#had = 0
      this.#state = HEAD
    }
    return at + count
  }

  #readHead(bytes: Buffer, at: number): number {
    if (this.#had === 0 && bytes.length - at >= FRAME_HEAD) {
      this.#begin(bytes, at)
      return at + FRAME_HEAD
    }
    const count = Math.min(FRAME_HEAD - this.#had, bytes.length - at)
    bytes.copy(this.#head, this.#had, at, at + count)
    this.#had += count
    if (this.#had === FRAME_HEAD) {
      this.#had = 0
      this.#begin(this.#head, 0)
    }
    return at + count
  }

  #begin(head: Buffer, at: number): void {
    const length = head.readUIntBE(at, 3)
    const type = head.readUInt8(at + 3)
    this.#type = type
    this.#flags = head.readUInt8(at + 4)
    // The first bit is reserved.
    this.#streamId = head.readUInt32BE(at + 5) & MAX_31
    this.#left = length
    if (length > this.#options.maxFrameSize)
      throw protocolError('FRAME_SIZE_ERROR', `a frame of ${length} bytes`)
    if (type === FRAME.DATA) this.#beginData(length)
    else if (type > FRAME.CONTINUATION) {
      this.#listener.onUnknownFrame()
      this.#paddingLeft = length
      this.#state = length === 0 ? HEAD : SKIP
    } else this.#beginBody(length)
  }

  #beginData(length: number): void {
    if (this.#streamId === 0) throw protocolError('PROTOCOL_ERROR', 'DATA on no stream')
    this.#listener.onDataHead(this.#streamId, length)
    if ((this.#flags & FLAG.PADDED) === 0) {
      this.#padding = 0
      this.#paddingLeft = 0
      this.#state = DATA
      if (length === 0) this.#endData()
    } else if (length === 0) throw protocolError('FRAME_SIZE_ERROR', 'padded DATA without a length of it')
    else this.#state = PADDING
  }

  #startData(padding: number): void {
    this.#left -= 1 + padding
    if (this.#left < 0) throw protocolError('PROTOCOL_ERROR', 'more padding than payload')
    this.#padding = 1 + padding
    this.#paddingLeft = padding
    this.#state = DATA
    if (this.#left === 0) this.#endData()
  }

  #readData(bytes: Buffer, at: number): number {
    const end = Math.min(at + this.#left, bytes.length)
    this.#left -= end - at
    this.#listener.onDataPiece(bytes.subarray(at, end))
    if (this.#left === 0) this.#endData()
    return end
  }

  #endData(): void {
    this.#state = this.#paddingLeft === 0 ? HEAD : SKIP
    this.#listener.onDataEnd((this.#flags & FLAG.END_STREAM) !== 0, this.#padding)
  }

  #beginBody(length: number): void {
    checkLength(this.#type, this.#flags, length)
    if (isHeaderFragment(this.#type) && length > this.#options.maxHeaderFragment)
      throw protocolError('ENHANCE_YOUR_CALM', `a header block of ${length} bytes and more`)
    // Of GOAWAY, the rest is text for people.
    this.#bodyLength = this.#type === FRAME.GOAWAY ? 8 : length
    this.#paddingLeft = length - this.#bodyLength
    this.#left = this.#bodyLength
    if (length === 0) this.#endBody(EMPTY)
    else this.#state = BODY
  }

  #readBody(bytes: Buffer, at: number): number {
    const end = Math.min(at + this.#left, bytes.length)
    this.#left -= end - at
    if (this.#body === undefined && this.#left === 0) {
      this.#endBody(bytes.subarray(at, end))
      return end
    }
    this.#body ??= Buffer.allocUnsafe(this.#bodyLength)
    bytes.copy(this.#body, this.#bodyLength - this.#left - (end - at), at, end)
    if (this.#left === 0) {
      const body = this.#body
      this.#body = undefined
      this.#endBody(body)
    }
    return end
  }

  #endBody(payload: Buffer): void {
    this.#state = this.#paddingLeft === 0 ? HEAD : SKIP
    this.#listener.onFrame(this.#type, this.#flags, this.#streamId, payload)
  }

  #skip(bytes: Buffer, at: number): number {
    const end = Math.min(at + this.#paddingLeft, bytes.length)
    this.#paddingLeft -= end - at
    if (this.#paddingLeft === 0) this.#state = HEAD
    return end
  }
}

const EMPTY = Buffer.alloc(0)

/** RFC 9113 section 6, before anything of the payload is read. */
function checkLength(type: number, flags: number, length: number): void {
  const exact = EXACT_LENGTH[type]
  const wrong =
    (exact !== undefined && length !== exact) ||
    (type === FRAME.GOAWAY && length < 8) ||
    (type === FRAME.PUSH_PROMISE && length < 4) ||
    (type === FRAME.SETTINGS && (length % 6 !== 0 || ((flags & FLAG.ACK) !== 0 && length > 0)))
  if (wrong) throw protocolError('FRAME_SIZE_ERROR', `a frame of type ${type} with ${length} bytes`)
  if (type === FRAME.SETTINGS && length > MAX_SETTINGS * 6)
    throw protocolError('ENHANCE_YOUR_CALM', `${length / 6} settings in a frame`)
}

function isHeaderFragment(type: number): boolean {
  return type === FRAME.HEADERS || type === FRAME.CONTINUATION || type === FRAME.PUSH_PROMISE
}

const EXACT_LENGTH: Readonly<Record<number, number>> = {
  [FRAME.PRIORITY]: 5,
  [FRAME.RST_STREAM]: 4,
  [FRAME.PING]: 8,
  [FRAME.WINDOW_UPDATE]: 4,
}
