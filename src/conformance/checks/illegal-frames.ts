import { type Check, expect } from '../check.ts'
import type { Http2Connection } from '../connection.ts'
import {
  DEFAULT_FRAME,
  dataFrame,
  type ErrorName,
  encodeFrame,
  errorCode,
  FLAG,
  FRAME,
  LARGEST_WINDOW,
  resetFrame,
  SETTING,
  settingsFrame,
  uint32,
  windowUpdateFrame,
} from '../frames.ts'
import { encodeFields } from '../hpack.ts'
import { connectFields } from '../tunnel.ts'

interface Row {
  readonly name: string
  readonly what: string
  readonly code: ErrorName
  readonly section: string
  bytes(connection: Http2Connection): readonly Buffer[]
}

const EIGHT = Buffer.alloc(8)
const BLOCK = encodeFields(connectFields('192.0.2.1:80'))

const ROWS: readonly Row[] = [
  {
    name: 'ping-length',
    what: 'a PING of seven bytes',
    code: 'FRAME_SIZE_ERROR',
    section: '6.7',
    bytes: () => [encodeFrame({ type: FRAME.PING, payload: EIGHT.subarray(1) })],
  },
  {
    name: 'ping-on-stream',
    what: 'a PING on a stream',
    code: 'PROTOCOL_ERROR',
    section: '6.7',
    bytes: () => [encodeFrame({ type: FRAME.PING, streamId: 1, payload: EIGHT })],
  },
  {
    name: 'settings-length',
    what: 'SETTINGS of five bytes',
    code: 'FRAME_SIZE_ERROR',
    section: '6.5',
    bytes: () => [encodeFrame({ type: FRAME.SETTINGS, payload: EIGHT.subarray(3) })],
  },
  {
    name: 'settings-on-stream',
    what: 'SETTINGS on a stream',
    code: 'PROTOCOL_ERROR',
    section: '6.5',
    bytes: () => [encodeFrame({ type: FRAME.SETTINGS, streamId: 1 })],
  },
  {
    name: 'settings-ack-with-payload',
    what: 'an ACK of SETTINGS that has a payload',
    code: 'FRAME_SIZE_ERROR',
    section: '6.5',
    bytes: () => [encodeFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK, payload: Buffer.alloc(6) })],
  },
  {
    name: 'settings-window-too-large',
    what: 'an initial window of 2³¹ bytes',
    code: 'FLOW_CONTROL_ERROR',
    section: '6.5.2',
    bytes: () => [settingsFrame({ [SETTING.INITIAL_WINDOW_SIZE]: LARGEST_WINDOW + 1 })],
  },
  {
    name: 'settings-frame-size-too-small',
    what: 'a maximum frame size of 16,383 bytes',
    code: 'PROTOCOL_ERROR',
    section: '6.5.2',
    bytes: () => [settingsFrame({ [SETTING.MAX_FRAME_SIZE]: DEFAULT_FRAME - 1 })],
  },
  {
    name: 'settings-push-value',
    what: 'ENABLE_PUSH with the value 2',
    code: 'PROTOCOL_ERROR',
    section: '6.5.2',
    bytes: () => [settingsFrame({ [SETTING.ENABLE_PUSH]: 2 })],
  },
  {
    name: 'window-update-length',
    what: 'a WINDOW_UPDATE of three bytes',
    code: 'FRAME_SIZE_ERROR',
    section: '6.9',
    bytes: () => [encodeFrame({ type: FRAME.WINDOW_UPDATE, payload: EIGHT.subarray(5) })],
  },
  {
    name: 'window-update-zero',
    what: 'a WINDOW_UPDATE of the connection by 0',
    code: 'PROTOCOL_ERROR',
    section: '6.9',
    bytes: () => [windowUpdateFrame(0, 0)],
  },
  {
    name: 'window-overflow',
    what: 'credit for the connection beyond 2³¹−1 bytes',
    code: 'FLOW_CONTROL_ERROR',
    section: '6.9.1',
    bytes: () => [windowUpdateFrame(0, LARGEST_WINDOW), windowUpdateFrame(0, LARGEST_WINDOW)],
  },
  {
    name: 'goaway-on-stream',
    what: 'GOAWAY on a stream',
    code: 'PROTOCOL_ERROR',
    section: '6.8',
    bytes: () => [encodeFrame({ type: FRAME.GOAWAY, streamId: 1, payload: EIGHT })],
  },
  {
    name: 'data-on-connection',
    what: 'DATA on stream 0',
    code: 'PROTOCOL_ERROR',
    section: '6.1',
    bytes: () => [dataFrame(0, EIGHT)],
  },
  {
    name: 'data-on-idle-stream',
    what: 'DATA on a stream that nobody opened',
    code: 'PROTOCOL_ERROR',
    section: '5.1',
    bytes: (connection) => [dataFrame(connection.newStreamId(), EIGHT)],
  },
  {
    name: 'data-padding',
    what: 'DATA with more padding than payload',
    code: 'PROTOCOL_ERROR',
    section: '6.1',
    bytes: (connection) => {
      const streamId = connection.newStreamId()
      return [
        headers(streamId),
        encodeFrame({ type: FRAME.DATA, flags: FLAG.PADDED, streamId, payload: Buffer.from([200, 1, 2]) }),
      ]
    },
  },
  {
    name: 'reset-on-idle-stream',
    what: 'RST_STREAM on a stream that nobody opened',
    code: 'PROTOCOL_ERROR',
    section: '6.4',
    bytes: (connection) => [resetFrame(connection.newStreamId(), 'CANCEL')],
  },
  {
    name: 'reset-length',
    what: 'RST_STREAM of three bytes',
    code: 'FRAME_SIZE_ERROR',
    section: '6.4',
    bytes: (connection) => {
      const streamId = connection.newStreamId()
      const payload = EIGHT.subarray(5)
      return [headers(streamId), encodeFrame({ type: FRAME.RST_STREAM, streamId, payload })]
    },
  },
  {
    name: 'headers-on-connection',
    what: 'HEADERS on stream 0',
    code: 'PROTOCOL_ERROR',
    section: '6.2',
    bytes: () => [headers(0)],
  },
  {
    name: 'headers-on-even-stream',
    what: 'HEADERS of a client on an even stream',
    code: 'PROTOCOL_ERROR',
    section: '5.1.1',
    bytes: () => [headers(2)],
  },
  {
    name: 'headers-interrupted',
    what: 'another frame between HEADERS and CONTINUATION',
    code: 'PROTOCOL_ERROR',
    section: '6.2',
    bytes: (connection) => {
      const streamId = connection.newStreamId()
      return [
        encodeFrame({ type: FRAME.HEADERS, streamId, payload: BLOCK.subarray(0, 5) }),
        encodeFrame({ type: FRAME.PING, payload: EIGHT }),
        encodeFrame({
          type: FRAME.CONTINUATION,
          flags: FLAG.END_HEADERS,
          streamId,
          payload: BLOCK.subarray(5),
        }),
      ]
    },
  },
  {
    name: 'continuation-alone',
    what: 'CONTINUATION without HEADERS',
    code: 'PROTOCOL_ERROR',
    section: '6.10',
    bytes: () => [
      encodeFrame({ type: FRAME.CONTINUATION, flags: FLAG.END_HEADERS, streamId: 1, payload: BLOCK }),
    ],
  },
  {
    name: 'push-promise',
    what: 'PUSH_PROMISE of a client',
    code: 'PROTOCOL_ERROR',
    section: '8.4',
    bytes: () => {
      const payload = Buffer.concat([uint32(2), BLOCK])
      return [
        headers(1),
        encodeFrame({ type: FRAME.PUSH_PROMISE, flags: FLAG.END_HEADERS, streamId: 1, payload }),
      ]
    },
  },
  {
    name: 'header-block',
    what: 'a header block that is no HPACK',
    code: 'COMPRESSION_ERROR',
    section: '4.3',
    bytes: (connection) => {
      const streamId = connection.newStreamId()
      const payload = Buffer.from('ffffffffffffffff', 'hex')
      return [encodeFrame({ type: FRAME.HEADERS, flags: FLAG.END_HEADERS, streamId, payload })]
    },
  },
  {
    name: 'frame-too-large',
    what: 'a frame that is larger than the target allows',
    code: 'FRAME_SIZE_ERROR',
    section: '4.2',
    bytes: (connection) => {
      const claimedLength = (connection.settings.get(SETTING.MAX_FRAME_SIZE) ?? DEFAULT_FRAME) + 1
      // On the connection as a whole, whatever the frame would mean.
      return [encodeFrame({ type: FRAME.SETTINGS, claimedLength, payload: Buffer.alloc(600) })]
    },
  },
]

/** Each of these must end the connection, and nothing else of the target. */
export const illegalFrameChecks: readonly Check[] = ROWS.map(({ name, what, code, section, bytes }) => ({
  name: `illegal/${name}`,
  title: `treats ${what} as a connection error`,
  level: 'must',
  standsOn: `RFC 9113 section ${section}: ${code}`,
  explanation:
    'Past such a frame the two ends no longer agree on the state of the connection, and bytes of one tunnel may come out of another.',
  run: async (context) => {
    const connection = await context.connected()
    connection.write(...bytes(connection))
    const broken = await connection.broken()
    const right = connection.goaways.some((goaway) => goaway.code === errorCode(code))
    return expect(broken, `${connection.describeEnd()}${broken && !right ? `; the RFC names ${code}` : ''}`)
  },
}))

function headers(streamId: number): Buffer {
  return encodeFrame({ type: FRAME.HEADERS, flags: FLAG.END_HEADERS, streamId, payload: BLOCK })
}
