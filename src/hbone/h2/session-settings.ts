import { DEFAULT_FRAME_SIZE, DEFAULT_WINDOW, LARGEST_FRAME_SIZE, MAX_31 } from './constants.ts'
import { protocolError } from './errors.ts'

/** What one side has said about itself (RFC 9113 section 6.5.2). */
export interface SessionSettings {
  readonly enablePush?: boolean
  /** Infinity until said otherwise. */
  readonly maxConcurrentStreams: number
  /** Bytes. */
  readonly initialWindowSize: number
  /** Bytes. */
  readonly maxFrameSize: number
  /** Bytes; advisory. */
  readonly maxHeaderListSize: number
}

/** What holds until SETTINGS come. */
export const DEFAULT_SETTINGS: SessionSettings = {
  maxConcurrentStreams: Number.POSITIVE_INFINITY,
  initialWindowSize: DEFAULT_WINDOW,
  maxFrameSize: DEFAULT_FRAME_SIZE,
  maxHeaderListSize: Number.POSITIVE_INFINITY,
}

const ID = {
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const

/** The payload of a SETTINGS frame that says what is not the default. */
export function encodeSettings(settings: Partial<SessionSettings>): Buffer {
  const rows: (readonly [id: number, value: number | undefined])[] = [
    [ID.ENABLE_PUSH, settings.enablePush === undefined ? undefined : Number(settings.enablePush)],
    [ID.MAX_CONCURRENT_STREAMS, settings.maxConcurrentStreams],
    [ID.INITIAL_WINDOW_SIZE, settings.initialWindowSize],
    [ID.MAX_FRAME_SIZE, settings.maxFrameSize],
    [ID.MAX_HEADER_LIST_SIZE, settings.maxHeaderListSize],
  ]
  const payload = Buffer.alloc(rows.length * 6)
  let at = 0
  for (const [id, value] of rows) {
    if (value === undefined || value === Number.POSITIVE_INFINITY) continue
    payload.writeUInt16BE(id, at)
    payload.writeUInt32BE(value, at + 2)
    at += 6
  }
  return payload.subarray(0, at)
}

/** What a SETTINGS frame makes of what was said before. Throws `Http2Error` for an illegal value. */
export function applySettings(
  before: SessionSettings,
  payload: Buffer,
  from: 'client' | 'server',
): SessionSettings {
  const next: { -readonly [Key in keyof SessionSettings]: SessionSettings[Key] } = { ...before }
  for (let at = 0; at < payload.length; at += 6) {
    const value = payload.readUInt32BE(at + 2)
    switch (payload.readUInt16BE(at)) {
      case ID.ENABLE_PUSH:
        if (value > 1 || (value === 1 && from === 'server')) throw illegal('ENABLE_PUSH', value)
        next.enablePush = value === 1
        break
      case ID.MAX_CONCURRENT_STREAMS:
        next.maxConcurrentStreams = value
        break
      case ID.INITIAL_WINDOW_SIZE:
        if (value > MAX_31) throw protocolError('FLOW_CONTROL_ERROR', `INITIAL_WINDOW_SIZE ${value}`)
        next.initialWindowSize = value
        break
      case ID.MAX_FRAME_SIZE:
        if (value < DEFAULT_FRAME_SIZE || value > LARGEST_FRAME_SIZE) throw illegal('MAX_FRAME_SIZE', value)
        next.maxFrameSize = value
        break
      case ID.MAX_HEADER_LIST_SIZE:
        next.maxHeaderListSize = value
    }
  }
  return next
}

function illegal(name: string, value: number): Error {
  return protocolError('PROTOCOL_ERROR', `${name} ${value}`)
}
