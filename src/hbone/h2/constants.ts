/** Frame types (RFC 9113 section 6). */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const

/** Flags of frames; END_STREAM and ACK are the same bit of different types. */
export const FLAG = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 0x20 } as const

/** Error codes (RFC 9113 section 7). */
export const ERROR = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const

/** The name that the RFC gives an error code, or its number. */
export function errorName(code: number): string {
  return NAMES[code] ?? `error ${code}`
}

/** What a client sends first (RFC 9113 section 3.4). */
export const CLIENT_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
/** Bytes of every frame's head (RFC 9113 section 4.1). */
export const FRAME_HEAD = 9
/** The largest window, and the highest stream id (RFC 9113 sections 6.9.1 and 5.1.1). */
export const MAX_31 = 2 ** 31 - 1
/** What every window begins with (RFC 9113 section 6.9.2), bytes. */
export const DEFAULT_WINDOW = 65_535
/** The largest frame that anybody may send until told otherwise (RFC 9113 section 6.5.2), bytes. */
export const DEFAULT_FRAME_SIZE = 16_384
/** The largest MAX_FRAME_SIZE (RFC 9113 section 6.5.2), bytes. */
export const LARGEST_FRAME_SIZE = 2 ** 24 - 1

const NAMES: readonly string[] = Object.keys(ERROR)
