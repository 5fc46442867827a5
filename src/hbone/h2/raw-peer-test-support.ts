import { duplexPair } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { SESSION_LIMITS } from '../settings.ts'
import { CLIENT_PREFACE, FLAG, FRAME, FRAME_HEAD } from './constants.ts'
import type { Message } from './field-rules.ts'
import { encodeAnswer, encodeConnect } from './hpack-encoder.ts'
import type { SessionLimits } from './peer-budget.ts'
import { Http2Session } from './session.ts'
import type { SessionSettings } from './session-settings.ts'
import type { TunnelStream } from './stream.ts'

/** One frame of what a session sent. */
export interface SentFrame {
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly payload: Buffer
}

export interface RawPeerOptions {
  readonly role?: 'client' | 'server'
  readonly settings?: Partial<SessionSettings>
  readonly connectionWindowSize?: number
  readonly limits?: Partial<SessionLimits>
  readonly onStream?: (stream: TunnelStream, message: Message) => void
}

/** A session, and a peer of it that sends and sees bare frames; no socket between them. */
export class RawPeer {
  readonly session: Http2Session
  /** Requests that the session, as a server, has passed on. */
  readonly streams: TunnelStream[] = []
  readonly frames: SentFrame[] = []
  /** Why the session ended; undefined as long as it lives. */
  ended: { readonly error: Error | undefined } | undefined
  readonly #end: ReturnType<typeof duplexPair>[1]
  #rest: Buffer = Buffer.alloc(0)

  /** With the preface and SETTINGS exchanged, unless they are to be sent by hand. */
  constructor(t: Test, options: RawPeerOptions = {}, greets = true) {
    const { role = 'server', settings, connectionWindowSize = 1_000_000, limits, onStream } = options
    const [ours, theirs] = duplexPair()
    this.#end = theirs
    t.teardown(() => ours.destroy())
    this.session = new Http2Session({
      socket: ours as unknown as TLSSocket,
      isKernelSocket: false,
      role,
      settings: {
        maxConcurrentStreams: 10,
        initialWindowSize: 65_535,
        maxFrameSize: 100_000,
        maxHeaderListSize: 16_384,
        ...settings,
      },
      connectionWindowSize,
      limits: { ...SESSION_LIMITS, ...limits },
      onStream: (stream, message) => {
        this.streams.push(stream)
        onStream?.(stream, message)
      },
    })
    this.session.onClose = (error) => {
      this.ended = { error }
    }
    theirs.on('data', (bytes: Buffer) => this.#read(bytes)).on('error', () => {})
    if (greets) this.send(role === 'server' ? CLIENT_PREFACE : Buffer.alloc(0), frame(FRAME.SETTINGS))
  }

  /** In one piece. */
  send(...frames: readonly Buffer[]): void {
    this.#end.write(Buffer.concat(frames))
  }

  /** The peer reads no more. */
  pause(): void {
    this.#end.pause()
  }

  resume(): void {
    this.#end.resume()
  }

  /** Frames of a type so far. */
  sent(type: number, streamId?: number): SentFrame[] {
    return this.frames.filter(
      (frame) => frame.type === type && (streamId === undefined || frame.streamId === streamId),
    )
  }

  #read(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes])
    if (this.session.role === 'client' && this.frames.length === 0) this.#rest = skipPreface(this.#rest)
    while (this.#rest.length >= FRAME_HEAD) {
      const end = FRAME_HEAD + this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < end) return
      this.frames.push({
        type: this.#rest.readUInt8(3),
        flags: this.#rest.readUInt8(4),
        streamId: this.#rest.readUInt32BE(5),
        payload: this.#rest.subarray(FRAME_HEAD, end),
      })
      this.#rest = this.#rest.subarray(end)
    }
  }
}

export function frame(type: number, flags = 0, streamId = 0, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(FRAME_HEAD)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, payload])
}

/** HEADERS of a CONNECT. */
export function connectFrame(streamId: number): Buffer {
  return frame(FRAME.HEADERS, FLAG.END_HEADERS, streamId, encodeConnect('10.0.0.1:80', {}))
}

/** HEADERS of an answer. */
export function answerFrame(streamId: number, status = 200): Buffer {
  return frame(FRAME.HEADERS, FLAG.END_HEADERS, streamId, encodeAnswer(status, {}))
}

/** RST_STREAM or WINDOW_UPDATE. */
export function numberFrame(type: number, streamId: number, value: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(value)
  return frame(type, 0, streamId, payload)
}

/** GOAWAY without debug data. */
export function goawayFrame(lastStreamId: number, code: number): Buffer {
  const payload = Buffer.alloc(8)
  payload.writeUInt32BE(lastStreamId)
  payload.writeUInt32BE(code, 4)
  return frame(FRAME.GOAWAY, 0, 0, payload)
}

/** SETTINGS of these ids and values. */
export function settingsFrame(...rows: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(rows.length * 6)
  rows.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6)
    payload.writeUInt32BE(value, i * 6 + 2)
  })
  return frame(FRAME.SETTINGS, 0, 0, payload)
}

/** The session has read what was sent, and what it answers is there. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
}

function skipPreface(bytes: Buffer): Buffer {
  const has = bytes.length >= CLIENT_PREFACE.length && bytes.indexOf(CLIENT_PREFACE) === 0
  return has ? bytes.subarray(CLIENT_PREFACE.length) : bytes
}
