import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import {
  CLIENT_PREFACE,
  encodeFrame,
  errorName,
  FLAG,
  FRAME,
  type Frame,
  FrameParser,
  settingsFrame,
} from '../../conformance/frames.ts'
import { encodeFields, type Fields } from '../../conformance/hpack.ts'

/** The fields of an ordinary request. */
export const REQUEST: Fields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'a'],
  [':path', '/'],
]

/** A client of HTTP/2 that sends whatever frames it is told to, and keeps what comes back. */
export class RawHttp2Client {
  readonly frames: Frame[] = []
  readonly #tunnel: Duplex
  readonly #parser = new FrameParser()
  ended = false

  constructor(tunnel: Duplex) {
    this.#tunnel = tunnel
    tunnel.on('data', (chunk: Buffer) => {
      this.frames.push(...this.#parser.push(chunk))
      tunnel.emit('frames')
    })
    const onEnd = (): void => {
      this.ended = true
      tunnel.emit('frames')
    }
    tunnel.on('end', onEnd).on('close', onEnd)
    tunnel.write(Buffer.concat([CLIENT_PREFACE, settingsFrame()]))
  }

  write(...frames: Buffer[]): void {
    if (!this.#tunnel.destroyed) this.#tunnel.write(Buffer.concat(frames))
  }

  /** A whole header block; it ends the stream unless told otherwise. */
  headers(streamId: number, fields: Fields, endStream = true): void {
    const flags = FLAG.END_HEADERS | (endStream ? FLAG.END_STREAM : 0)
    this.write(encodeFrame({ type: FRAME.HEADERS, flags, streamId, payload: encodeFields(fields) }))
  }

  /** What became of a stream: the first frame for it, or how the connection ended. */
  async fate(streamId: number): Promise<string> {
    const deadline = AbortSignal.timeout(15_000)
    for (;;) {
      const goaway = this.frames.find((frame) => frame.type === FRAME.GOAWAY)
      const frame = this.frames.find(
        (each) => each.streamId === streamId && each.type !== FRAME.WINDOW_UPDATE,
      )
      if (frame?.type === FRAME.RST_STREAM) return `RST_STREAM ${errorName(frame.payload.readUInt32BE(0))}`
      if (frame?.type === FRAME.HEADERS) return `HEADERS ${statusOf(frame.payload)}`
      if (goaway !== undefined) return `GOAWAY ${errorName(goaway.payload.readUInt32BE(4))}`
      if (this.ended) return 'closed'
      await once(this.#tunnel, 'frames', { signal: deadline })
    }
  }
}

/** The status that begins a header block: by its index in the static table, or as a literal (RFC 7541 appendix A). */
function statusOf(block: Buffer): string {
  const first = block[0] ?? 0
  const indexed = { 136: '200', 137: '204', 139: '304', 140: '400', 141: '404', 142: '500' }[first]
  // node:http2 writes other statuses as a literal of three digits, Huffman-coded into two bytes or plain in three.
  return (
    indexed ??
    HUFFMAN[block.subarray(2, 2 + ((block[1] ?? 0) & 0x7f)).toString('hex')] ??
    block.toString('hex')
  )
}

/** By RFC 7541 appendix B. */
const HUFFMAN: Readonly<Record<string, string>> = {
  '682c7f': '413',
  '6805': '411',
  '68327f': '414',
  '6832ff': '414',
}
