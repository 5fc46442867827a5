/** One HTTP/2 frame as it came (RFC 9113 section 4.1). */
export interface Frame {
  /** One of `FRAME`, or a number that no RFC knows. */
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly payload: Buffer
}

/** A frame to write. Nothing is checked: illegal frames are what this is for. */
export interface RawFrame {
  readonly type: number
  readonly flags?: number
  readonly streamId?: number
  readonly payload?: Buffer
  /** What the header claims instead of the payload's own length, bytes. */
  readonly claimedLength?: number
}

/** Frame types (RFC 9113 section 6). */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const

export const FLAG = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 0x20 } as const

/** Settings (RFC 9113 section 6.5.2). */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const

/** Error codes (RFC 9113 section 7) by number. */
const ERROR_NAMES = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
] as const

export type ErrorName = (typeof ERROR_NAMES)[number]

/** RFC 9113 section 3.4. */
export const CLIENT_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
/** The largest flow-control window (RFC 9113 section 6.9.1), bytes. */
export const LARGEST_WINDOW = 2 ** 31 - 1
/** What every window begins with (RFC 9113 section 6.9.2), bytes. */
export const DEFAULT_WINDOW = 65_535
/** The largest frame that a peer may send until told otherwise (RFC 9113 section 6.5.2), bytes. */
export const DEFAULT_FRAME = 16_384

export function errorCode(name: ErrorName): number {
  return ERROR_NAMES.indexOf(name)
}

/** The code's name, or the number when no RFC has given it one. */
export function errorName(code: number): string {
  return ERROR_NAMES[code] ?? `error ${code}`
}

export function encodeFrame({
  type,
  flags = 0,
  streamId = 0,
  payload = EMPTY,
  claimedLength,
}: RawFrame): Buffer {
  const head = Buffer.alloc(FRAME_HEAD)
  head.writeUIntBE(claimedLength ?? payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, payload])
}

export function settingsFrame(settings: Readonly<Record<number, number>> = {}): Buffer {
  const rows = Object.entries(settings).map(([id, value]) => {
    const row = Buffer.alloc(6)
    row.writeUInt16BE(Number(id), 0)
    row.writeUInt32BE(value, 2)
    return row
  })
  return encodeFrame({ type: FRAME.SETTINGS, payload: Buffer.concat(rows) })
}

export function windowUpdateFrame(streamId: number, increment: number): Buffer {
  return encodeFrame({ type: FRAME.WINDOW_UPDATE, streamId, payload: uint32(increment) })
}

export function resetFrame(streamId: number, code: ErrorName): Buffer {
  return encodeFrame({ type: FRAME.RST_STREAM, streamId, payload: uint32(errorCode(code)) })
}

export function goawayFrame(lastStreamId: number, code: ErrorName): Buffer {
  return encodeFrame({
    type: FRAME.GOAWAY,
    payload: Buffer.concat([uint32(lastStreamId), uint32(errorCode(code))]),
  })
}

/** `payload` must have eight bytes to be legal. */
export function pingFrame(payload: Buffer = Buffer.alloc(8), flags = 0): Buffer {
  return encodeFrame({ type: FRAME.PING, flags, payload })
}

export function dataFrame(streamId: number, payload: Buffer, endStream = false): Buffer {
  return encodeFrame({ type: FRAME.DATA, streamId, payload, flags: endStream ? FLAG.END_STREAM : 0 })
}

/** The payload of a DATA or HEADERS frame without padding and priority (RFC 9113 sections 6.1 and 6.2). */
export function contentOf({ type, flags, payload }: Frame): Buffer {
  const padded = (flags & FLAG.PADDED) !== 0
  const prioritized = type === FRAME.HEADERS && (flags & FLAG.PRIORITY) !== 0
  const padding = padded ? (payload[0] ?? 0) : 0
  return payload.subarray((padded ? 1 : 0) + (prioritized ? 5 : 0), payload.length - padding)
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Cuts a peer's bytes into frames. */
export class FrameParser {
  #rest: Buffer = EMPTY

  /** The frames that are whole now. Throws when one is larger than we allow. */
  push(bytes: Buffer): Frame[] {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const frames: Frame[] = []
    while (rest.length >= FRAME_HEAD) {
      const length = rest.readUIntBE(0, 3)
      if (length > MAX_FRAME_BYTES)
        throw new Error(
          `the target sent a frame of ${length} bytes; SETTINGS_MAX_FRAME_SIZE was ${DEFAULT_FRAME}`,
        )
      if (rest.length < FRAME_HEAD + length) break
      frames.push({
        type: rest.readUInt8(3),
        flags: rest.readUInt8(4),
        // The first bit is reserved.
        streamId: rest.readUInt32BE(5) & LARGEST_WINDOW,
        payload: rest.subarray(FRAME_HEAD, FRAME_HEAD + length),
      })
      rest = rest.subarray(FRAME_HEAD + length)
    }
    this.#rest = rest
    return frames
  }
}

const EMPTY = Buffer.alloc(0)
const FRAME_HEAD = 9
/** Enough to see a frame that is too large, and to say how large. */
const MAX_FRAME_BYTES = 1024 * 1024
