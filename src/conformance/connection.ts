import type { TLSSocket } from 'node:tls'
import { CheckFailure, errorText } from './errors.ts'
import {
  CLIENT_PREFACE,
  contentOf,
  DEFAULT_WINDOW,
  encodeFrame,
  errorName,
  FLAG,
  FRAME,
  type Frame,
  FrameParser,
  LARGEST_WINDOW,
  pingFrame,
  SETTING,
  settingsFrame,
  windowUpdateFrame,
} from './frames.ts'
import { FieldDecoder } from './hpack.ts'
import { describeStream, type MutableStream, newStream, type StreamView } from './stream.ts'

/** What is done by itself; a check switches off what it wants to leave undone. */
export interface ConnectionHabits {
  /** ACK of the target's SETTINGS. */
  readonly ackSettings?: boolean
  readonly ackPings?: boolean
  /** Give credit back for what comes in, of the stream and of the connection. */
  readonly giveCredit?: boolean
}

/** Settings and credit that we begin with. */
export interface Opening extends ConnectionHabits {
  readonly settings?: Readonly<Record<number, number>>
  /** Of the connection beyond the first 65,535 bytes. */
  readonly extraCredit?: number
  /** Default: the preface, SETTINGS and the extra credit. */
  readonly bytes?: Buffer
}

export interface Goaway {
  readonly lastStreamId: number
  readonly code: number
}

/** How long a check waits for what should happen at once, milliseconds: generous for a busy machine. */
export const REPLY_TIMEOUT_MS = 10_000
/** What is kept of what a target sends on one connection. It must not be able to fill our memory. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024

/**
 * The client's end of an HTTP/2 connection that does nothing for the protocol's
 * sake but what its habits say: each frame goes out as it is given, legal or
 * not. What the target says is kept for checks to look at.
 */
export class Http2Connection {
  readonly socket: TLSSocket
  /** Types of all frames, in order. */
  readonly frameTypes: number[] = []
  readonly goaways: Goaway[] = []
  readonly pongs: Buffer[] = []
  /** PINGs of the target. */
  pings = 0
  /** The target's, and how many ACKs of ours came back. */
  readonly settings = new Map<number, number>()
  settingsAcks = 0
  sendWindow = DEFAULT_WINDOW
  /** Why there is no connection any more. */
  ended: string | undefined
  /** What broke the rules in a way that no check had asked about. */
  violation: string | undefined
  readonly #habits: Required<ConnectionHabits>
  readonly #decoder = new FieldDecoder()
  readonly #parser = new FrameParser()
  readonly #streams = new Map<number, MutableStream>()
  readonly #waiting = new Set<() => void>()
  #nextId = 1
  #kept = 0
  #block: { streamId: number; flags: number; pieces: Buffer[] } | undefined
  #turn: Promise<void> = Promise.resolve()

  constructor(socket: TLSSocket, opening: Opening = {}) {
    this.socket = socket
    const { ackSettings = true, ackPings = true, giveCredit = true } = opening
    this.#habits = { ackSettings, ackPings, giveCredit }
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('error', (error) => this.#end(errorText(error)))
    socket.once('end', () => this.#end('closed by the target'))
    socket.once('close', () => this.#end('closed'))
    const { settings = {}, extraCredit = 0 } = opening
    const credit = extraCredit > 0 ? [windowUpdateFrame(0, extraCredit)] : []
    this.write(opening.bytes ?? Buffer.concat([CLIENT_PREFACE, settingsFrame(settings), ...credit]))
  }

  /** Sends bytes as they are. */
  write(...bytes: readonly Buffer[]): void {
    if (!this.socket.destroyed)
      this.socket.write(bytes.length === 1 && bytes[0] ? bytes[0] : Buffer.concat(bytes))
  }

  /** A number for a new stream, the next odd one, and a place for what comes on it. */
  newStreamId(): number {
    const id = this.#nextId
    this.#nextId += 2
    this.#stream(id)
    return id
  }

  stream(id: number): StreamView {
    return this.#stream(id)
  }

  /** Takes from the windows what was sent; returns false, and takes nothing, when they have not so much. */
  spend(streamId: number, bytes: number): boolean {
    const stream = this.#stream(streamId)
    if (stream.sendWindow < bytes || this.sendWindow < bytes) return false
    stream.sendWindow -= bytes
    this.sendWindow -= bytes
    return true
  }

  /**
   * Waits until `find` gives something; asks again after each frame. Throws
   * `CheckFailure` when the time is over, or with the connection when it ends
   * first. `what` completes "…: not seen".
   */
  async until<T>(what: string, find: () => T | undefined | false, timeoutMs = REPLY_TIMEOUT_MS): Promise<T> {
    const found = await this.wait(find, timeoutMs)
    if (found !== undefined) return found
    throw new CheckFailure(`${what}: not seen${this.#ending(timeoutMs)}`)
  }

  /** As `until`, but undefined in place of the failure. */
  wait<T>(find: () => T | undefined | false, timeoutMs = REPLY_TIMEOUT_MS): Promise<T | undefined> {
    return new Promise((resolve) => {
      const done = (value: T | undefined): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve(value)
      }
      const look = (): void => {
        const value = find()
        if (value !== undefined && value !== false) done(value)
        else if (this.ended !== undefined) done(undefined)
      }
      const timer = setTimeout(() => done(undefined), timeoutMs)
      this.#waiting.add(look)
      look()
    })
  }

  /** Waits for the end of the connection or a GOAWAY that is no goodbye; true when there was one. */
  async broken(timeoutMs = REPLY_TIMEOUT_MS): Promise<boolean> {
    const isBroken = (): boolean => this.ended !== undefined || this.goaways.some(({ code }) => code !== 0)
    return (await this.wait(isBroken, timeoutMs)) === true || this.ended !== undefined
  }

  /** Sends a PING and waits for its PONG: whatever was sent before has been read by then. */
  async roundTrip(timeoutMs = REPLY_TIMEOUT_MS): Promise<boolean> {
    const payload = Buffer.alloc(8)
    payload.writeDoubleBE(Math.random())
    this.write(pingFrame(payload))
    return (await this.wait(() => this.pongs.some((pong) => pong.equals(payload)), timeoutMs)) === true
  }

  /** GOAWAY and the end, in a few words. */
  describeEnd(): string {
    const goaways = this.goaways.map(({ code }) => `GOAWAY(${errorName(code)})`)
    if (this.ended === undefined && goaways.length === 0) return 'the connection goes on'
    return [...goaways, ...(this.ended === undefined ? [] : [this.ended])].join(', ')
  }

  destroy(): void {
    this.socket.destroy()
    this.#decoder.close()
  }

  #ending(timeoutMs: number): string {
    return this.ended === undefined && this.goaways.length === 0
      ? ` in ${timeoutMs / 1000} s`
      : `; instead: ${this.describeEnd()}`
  }

  #end(why: string): void {
    // After what came before it has been read.
    this.#turn = this.#turn.then(() => {
      this.ended ??= why
      this.#changed()
    })
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look()
  }

  #read(bytes: Buffer): void {
    try {
      for (const frame of this.#parser.push(bytes)) {
        this.#turn = this.#turn.then(async () => {
          await this.#onFrame(frame)
          this.#changed()
        })
      }
    } catch (error) {
      this.violation ??= errorText(error)
      this.socket.destroy()
    }
  }

  async #onFrame(frame: Frame): Promise<void> {
    this.frameTypes.push(frame.type)
    switch (frame.type) {
      case FRAME.DATA:
        return this.#onData(frame)
      case FRAME.HEADERS:
        this.#block = { streamId: frame.streamId, flags: frame.flags, pieces: [contentOf(frame)] }
        return this.#onBlock(frame.flags)
      case FRAME.CONTINUATION:
        this.#block?.pieces.push(frame.payload)
        return this.#onBlock(frame.flags)
      case FRAME.RST_STREAM:
        this.#stream(frame.streamId).reset = readUInt32(frame.payload, 0)
        return
      case FRAME.SETTINGS:
        return this.#onSettings(frame)
      case FRAME.PING:
        return this.#onPing(frame)
      case FRAME.GOAWAY: {
        const lastStreamId = readUInt32(frame.payload, 0) & LARGEST_WINDOW
        this.goaways.push({ lastStreamId, code: readUInt32(frame.payload, 4) })
        return
      }
      case FRAME.WINDOW_UPDATE: {
        const credit = readUInt32(frame.payload, 0) & LARGEST_WINDOW
        if (frame.streamId === 0) this.sendWindow += credit
        else this.#stream(frame.streamId).sendWindow += credit
      }
    }
  }

  async #onBlock(flags: number): Promise<void> {
    const block = this.#block
    if (block === undefined || (flags & FLAG.END_HEADERS) === 0) return
    this.#block = undefined
    const stream = this.#stream(block.streamId)
    try {
      const headers = await this.#decoder.decode(Buffer.concat(block.pieces))
      stream.headers = headers
      stream.status = Number(headers.get(':status'))
    } catch (error) {
      this.violation ??= `HEADERS on stream ${block.streamId}: ${errorText(error)}`
    }
    if ((block.flags & FLAG.END_STREAM) !== 0) {
      stream.ended = true
      stream.headersOnly = true
    }
  }

  #onData(frame: Frame): void {
    const stream = this.#stream(frame.streamId)
    const content = contentOf(frame)
    this.#kept += content.length
    if (this.#kept <= MAX_KEPT_BYTES) stream.received.push(Buffer.from(content))
    stream.receivedBytes += content.length
    stream.largestFrame = Math.max(stream.largestFrame, frame.payload.length)
    if ((frame.flags & FLAG.END_STREAM) !== 0) stream.ended = true
    if (!this.#habits.giveCredit || frame.payload.length === 0) return
    this.write(windowUpdateFrame(0, frame.payload.length))
    if (!stream.ended) this.write(windowUpdateFrame(frame.streamId, frame.payload.length))
  }

  #onSettings({ flags, payload }: Frame): void {
    if ((flags & FLAG.ACK) !== 0) {
      this.settingsAcks++
      return
    }
    const before = this.#initialWindow
    for (let at = 0; at + 6 <= payload.length; at += 6)
      this.settings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2))
    for (const stream of this.#streams.values()) stream.sendWindow += this.#initialWindow - before
    if (this.#habits.ackSettings) this.write(encodeFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK }))
  }

  #onPing({ flags, payload }: Frame): void {
    if ((flags & FLAG.ACK) !== 0) {
      this.pongs.push(Buffer.from(payload))
      return
    }
    this.pings++
    if (this.#habits.ackPings) this.write(pingFrame(payload, FLAG.ACK))
  }

  get #initialWindow(): number {
    return this.settings.get(SETTING.INITIAL_WINDOW_SIZE) ?? DEFAULT_WINDOW
  }

  #stream(id: number): MutableStream {
    const known = this.#streams.get(id)
    if (known !== undefined) return known
    const stream = newStream(id, this.#initialWindow)
    this.#streams.set(id, stream)
    return stream
  }
}

/** The text of all streams that are known, for a failure's report. */
export function describeStreams(streams: readonly StreamView[]): string {
  const counts = new Map<string, number>()
  for (const stream of streams) {
    const text = describeStream(stream)
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
  return Array.from(counts, ([text, count]) => `${count} × ${text}`).join('; ')
}

function readUInt32(payload: Buffer, at: number): number {
  return payload.length >= at + 4 ? payload.readUInt32BE(at) : 0
}
