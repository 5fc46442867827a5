// A peer's bytes, cut at every place that a network may cut them, and bytes that are no HTTP/2.
import fc from 'fast-check'
import t from 'tap'
import { CLIENT_PREFACE, ERROR, FLAG, FRAME } from './constants.ts'
import { Http2Error } from './errors.ts'
import { FrameReader } from './frame-reader.ts'

const MAX_FRAME_SIZE = 100_000
const MAX_HEADER_FRAGMENT = 20_000

/** A reader, and all that it told, with the pieces of one DATA frame put together. */
function record(preface = false): { reader: FrameReader; seen: unknown[]; largest: () => number } {
  const seen: unknown[] = []
  let data: Buffer[] = []
  let largest = 0
  const reader = new FrameReader(
    {
      onDataHead(streamId, length) {
        seen.push(['head', streamId, length])
        data = []
      },
      onDataPiece: (bytes) => void data.push(Buffer.from(bytes)),
      onDataEnd: (endStream, padding) =>
        void seen.push(['data', Buffer.concat(data).toString('hex'), endStream, padding]),
      onFrame(type, flags, streamId, payload) {
        largest = Math.max(largest, payload.length)
        seen.push([type, flags, streamId, payload.toString('hex')])
      },
      onUnknownFrame: () => void seen.push('unknown'),
    },
    { maxFrameSize: MAX_FRAME_SIZE, maxHeaderFragment: MAX_HEADER_FRAGMENT, preface },
  )
  return { reader, seen, largest: () => largest }
}

function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, payload])
}

/** One of each kind that is read in its own way. */
const STREAM = Buffer.concat([
  frame(FRAME.SETTINGS, 0, 0, Buffer.from('000300000064', 'hex')),
  frame(FRAME.HEADERS, FLAG.END_HEADERS, 1, Buffer.from('a block')),
  frame(FRAME.DATA, 0, 1, Buffer.from('hello')),
  frame(FRAME.DATA, 0, 1, Buffer.alloc(0)),
  frame(FRAME.DATA, FLAG.PADDED, 1, Buffer.from('\x03ab\0\0\0', 'latin1')),
  frame(FRAME.DATA, FLAG.PADDED, 1, Buffer.from('\x02\0\0', 'latin1')),
  frame(FRAME.DATA, FLAG.PADDED, 1, Buffer.from('\0', 'latin1')),
  frame(0xfa, 0xff, 7, Buffer.from('of the future')),
  frame(0xfb, 0, 0, Buffer.alloc(0)),
  frame(FRAME.GOAWAY, 0, 0, Buffer.from('\0\0\0\x01\0\0\0\0for people', 'latin1')),
  frame(FRAME.PING, 0, 0, Buffer.from('12345678')),
  frame(FRAME.DATA, FLAG.END_STREAM, 1, Buffer.from('!')),
])

t.test('however the bytes are cut, the frames are the same', async (t) => {
  const whole = record()
  whole.reader.read(STREAM)
  t.equal(whole.seen.length, 18)
  t.same(whole.seen.slice(-1), [['data', '21', true, 0]])
  for (let cut = 1; cut < STREAM.length; cut++) {
    const { reader, seen } = record()
    reader.read(STREAM.subarray(0, cut))
    reader.read(STREAM.subarray(cut))
    if (JSON.stringify(seen) !== JSON.stringify(whole.seen)) t.fail(`cut at ${cut}`)
  }
  fc.assert(
    fc.property(fc.array(fc.nat(STREAM.length)), (cuts) => {
      const { reader, seen } = record()
      const at = [0, ...cuts.sort((a, b) => a - b), STREAM.length]
      for (let i = 1; i < at.length; i++) reader.read(STREAM.subarray(at[i - 1], at[i]))
      return JSON.stringify(seen) === JSON.stringify(whole.seen)
    }),
  )
})

t.test('the preface may come in pieces, and must be right', async (t) => {
  const { reader, seen } = record(true)
  for (const byte of Buffer.concat([CLIENT_PREFACE, STREAM])) reader.read(Buffer.from([byte]))
  t.equal(seen.length, 18)
  t.equal(
    codeOf(() => record(true).reader.read(Buffer.from('GET / HTTP/1.1\r\n'))),
    ERROR.PROTOCOL_ERROR,
  )
})

t.test('a frame is judged by its head, before anything of it is held', async (t) => {
  const head = (length: number, type: number, flags = 0, streamId = 0): Buffer =>
    frame(type, flags, streamId, Buffer.alloc(length)).subarray(0, 9)
  const cases: [Buffer, number][] = [
    [head(MAX_FRAME_SIZE + 1, FRAME.DATA, 0, 1), ERROR.FRAME_SIZE_ERROR],
    [head(MAX_FRAME_SIZE + 1, 0xfa), ERROR.FRAME_SIZE_ERROR],
    [head(MAX_HEADER_FRAGMENT + 1, FRAME.HEADERS, 0, 1), ERROR.ENHANCE_YOUR_CALM],
    [head(MAX_HEADER_FRAGMENT + 1, FRAME.CONTINUATION, 0, 1), ERROR.ENHANCE_YOUR_CALM],
    [head(33 * 6, FRAME.SETTINGS), ERROR.ENHANCE_YOUR_CALM],
    [head(5, FRAME.SETTINGS), ERROR.FRAME_SIZE_ERROR],
    [head(6, FRAME.SETTINGS, FLAG.ACK), ERROR.FRAME_SIZE_ERROR],
    [head(7, FRAME.PING), ERROR.FRAME_SIZE_ERROR],
    [head(3, FRAME.RST_STREAM, 0, 1), ERROR.FRAME_SIZE_ERROR],
    [head(5, FRAME.WINDOW_UPDATE), ERROR.FRAME_SIZE_ERROR],
    [head(7, FRAME.GOAWAY), ERROR.FRAME_SIZE_ERROR],
    [head(4, FRAME.PRIORITY, 0, 1), ERROR.FRAME_SIZE_ERROR],
    [head(0, FRAME.DATA, FLAG.PADDED, 1), ERROR.FRAME_SIZE_ERROR],
    [head(9, FRAME.DATA, 0, 0), ERROR.PROTOCOL_ERROR],
  ]
  for (const [bytes, h2Code] of cases) {
    t.equal(
      codeOf(() => record().reader.read(bytes)),
      h2Code,
      bytes.toString('hex'),
    )
  }
  const tooMuchPadding = frame(FRAME.DATA, FLAG.PADDED, 1, Buffer.from('\x05abc', 'latin1'))
  t.equal(
    codeOf(() => record().reader.read(tooMuchPadding)),
    ERROR.PROTOCOL_ERROR,
  )
})

t.test('any bytes are frames, or an Http2Error; what is held is bounded', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 20 }), (chunks) => {
      const { reader, largest } = record()
      try {
        for (const chunk of chunks) reader.read(Buffer.from(chunk))
      } catch (error) {
        if (!(error instanceof Http2Error)) throw error
      }
      return largest() <= MAX_HEADER_FRAGMENT
    }),
  )
  t.pass('2,000 bytes at a time')
})

/** The code that the connection ends with; undefined when nothing is wrong. */
function codeOf(run: () => unknown): number | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof Http2Error) return error.h2Code
    throw error
  }
}
