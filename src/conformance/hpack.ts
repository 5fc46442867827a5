import { type ClientHttp2Session, connect } from 'node:http2'
import { Duplex } from 'node:stream'
import { CLIENT_PREFACE, encodeFrame, FLAG, FRAME, FrameParser, settingsFrame } from './frames.ts'

/** Header fields in their order, pseudo-headers among them. */
export type Fields = readonly (readonly [name: string, value: string])[]

/**
 * A header block of literals without indexing, unpacked (RFC 7541 section
 * 6.2.2): the plainest legal form, and one that carries what no HTTP/2 library
 * would let out.
 */
export function encodeFields(fields: Fields): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [LITERAL, encodeString(name), encodeString(value)]))
}

/**
 * Reads the header blocks of one connection, in order. The reader is nghttp2,
 * by way of a `node:http2` client whose server is ourselves: there is no better
 * kept HPACK on npm, and it judges a malformed answer as every client on Node would.
 */
export class FieldDecoder {
  readonly #feed: Duplex
  readonly #session: ClientHttp2Session
  /** Blocks by the number of the request that each of them shall answer. */
  readonly #blocks = new Map<number, Buffer>()
  readonly #sent = new FrameParser()
  #preface = CLIENT_PREFACE.length

  constructor() {
    this.#feed = new Duplex({
      read() {},
      write: (chunk: Buffer, _encoding, done) => {
        this.#onSent(chunk)
        done()
      },
    })
    this.#session = connect('http://hpack.invalid', { createConnection: () => this.#feed })
    this.#session.on('error', ignore)
    this.#feed.push(settingsFrame())
  }

  /** The fields of one answer. Rejects when the block is no HPACK or no legal answer. */
  decode(block: Buffer): Promise<ReadonlyMap<string, string>> {
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({ ':method': 'CONNECT', ':authority': 'hpack.invalid:1' })
      const done = (headers: object): void => {
        const fields = Object.entries(headers).map(([name, value]) => [name, String(value)] as const)
        resolve(new Map(fields))
        stream.close()
      }
      stream.once('response', done).once('headers', done)
      stream.once('error', reject)
      stream.once('close', () => reject(new Error('the answer has a malformed header block')))
      const answer = (): void => void this.#blocks.set(stream.id ?? 0, block)
      if (stream.pending) stream.once('ready', answer)
      else answer()
    })
  }

  close(): void {
    this.#session.destroy()
    this.#feed.destroy()
  }

  /** To a request that is not on the wire yet, an answer would be an error. */
  #onSent(bytes: Buffer): void {
    const skipped = Math.min(this.#preface, bytes.length)
    this.#preface -= skipped
    for (const { type, streamId } of this.#sent.push(bytes.subarray(skipped))) {
      if (type !== FRAME.HEADERS) continue
      // Node tells the request its number in the same turn, but maybe after this.
      queueMicrotask(() => this.#answer(streamId))
    }
  }

  #answer(streamId: number): void {
    const block = this.#blocks.get(streamId)
    this.#blocks.delete(streamId)
    if (block === undefined) return
    for (const [type, flags, payload] of pieces(block))
      this.#feed.push(encodeFrame({ type, flags, streamId, payload }))
  }
}

/** HEADERS and as many CONTINUATIONs as it takes. */
function* pieces(block: Buffer): Iterable<[type: number, flags: number, payload: Buffer]> {
  for (let at = 0; at === 0 || at < block.length; at += PIECE) {
    const isLast = at + PIECE >= block.length
    yield [
      at === 0 ? FRAME.HEADERS : FRAME.CONTINUATION,
      isLast ? FLAG.END_HEADERS : 0,
      block.subarray(at, at + PIECE),
    ]
  }
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  return Buffer.concat([encodeInteger(bytes.length), bytes])
}

/** With a prefix of seven bits and no flag (RFC 7541 section 5.1). */
function encodeInteger(value: number): Buffer {
  if (value < 127) return Buffer.from([value])
  const bytes = [127]
  let rest = value - 127
  for (; rest >= 128; rest >>>= 7) bytes.push((rest & 127) | 128)
  bytes.push(rest)
  return Buffer.from(bytes)
}

/** Literal field without indexing, new name. */
const LITERAL = Buffer.from([0])
const PIECE = 16_384

function ignore(): void {}
