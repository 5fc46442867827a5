import { connect } from 'node:http2'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { ERROR, FLAG, FRAME } from './constants.ts'
import { Http2Error } from './errors.ts'
import { FrameReader } from './frame-reader.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { encodeAnswer, encodeConnect } from './hpack-encoder.ts'

const LIMITS = { bytes: 65_536, count: 128 }
const decode = (hex: string, decoder = new HpackDecoder(LIMITS)): readonly string[] =>
  decoder.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex')).fields

// RFC 7541 appendix C.4: three requests on one connection, Huffman and the dynamic table.
t.test('the examples of the RFC', async (t) => {
  const decoder = new HpackDecoder(LIMITS)
  const first = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com']
  t.same(decode('828684418cf1e3c2e5f23a6ba0ab90f4ff', decoder), first)
  t.same(decode('828684be5886a8eb10649cbf', decoder), [...first, 'cache-control', 'no-cache'])
  t.same(decode('828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf', decoder), [
    ...[':method', 'GET', ':scheme', 'https', ':path', '/index.html', ':authority', 'www.example.com'],
    ...['custom-key', 'custom-value'],
  ])
})

t.test('what is no HPACK is an error', async (t) => {
  for (const [hex, what] of [
    ['80', 'index 0'],
    ['be', 'an index of the empty table'],
    ['ff ff ff ff ff ff 0f', 'an index without end'],
    ['00 01', 'a name that is not there'],
    ['00 7f ff ff ff ff 0f', 'a length beyond the block'],
    ['3f e2 1f', 'a table above what we allow'],
    ['82 20', 'a table size after a field'],
    ['00 81 ff 00', 'padding of eight bits'],
    ['00 84 ff ff ff ff 00', 'EOS'],
    ['00 81 1e 00', 'padding with a zero'],
  ]) {
    t.equal(
      codeOf(() => decode(hex ?? '')),
      ERROR.COMPRESSION_ERROR,
      what ?? '',
    )
  }
})

t.test('the table is bounded, and follows the sizes that the peer chooses', async (t) => {
  const decoder = new HpackDecoder(LIMITS)
  const add = (name: string, value: string): Buffer =>
    Buffer.concat([
      Buffer.from([0x40, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ])
  for (let i = 0; i < 200; i++) decoder.decode(add('x'.repeat(50), 'y'.repeat(46)))
  // 128 bytes each: 32 fit in 4,096.
  t.equal(decoder.decode(Buffer.from([0x80 | (61 + 32)])).fields.length, 2)
  t.equal(
    codeOf(() => decoder.decode(Buffer.from([0x80 | (61 + 33)]))),
    ERROR.COMPRESSION_ERROR,
  )
  decoder.decode(Buffer.from([0x20]))
  t.equal(
    codeOf(() => decoder.decode(Buffer.from([0x80 | 62]))),
    ERROR.COMPRESSION_ERROR,
    'a size of 0 has emptied it',
  )
})

t.test('a list above the limits is read to its end, but not kept', async (t) => {
  const decoder = new HpackDecoder({ bytes: 200, count: 3 })
  const field = '40 01 61 01 62'
  t.match(decoder.decode(Buffer.from(`${field} be be`.replaceAll(' ', ''), 'hex')), { tooLarge: false })
  const many = decoder.decode(Buffer.from('be be be be'.replaceAll(' ', ''), 'hex'))
  t.match(many, { tooLarge: true, fields: { length: 6 } })
  const long = decoder.decode(Buffer.concat([Buffer.from('0001617f7f', 'hex'), Buffer.alloc(254)]))
  t.match(long, { tooLarge: true, fields: { length: 0 } })
})

t.test('any bytes are a list or an Http2Error', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), (blocks) => {
      const decoder = new HpackDecoder(LIMITS)
      try {
        for (const block of blocks) decoder.decode(Buffer.from(block))
      } catch (error) {
        if (!(error instanceof Http2Error)) throw error
      }
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test('what we write is what we read', async (t) => {
  const value = fc.string({ unit: 'grapheme-ascii', maxLength: 300 }).map((text) => text.trim())
  fc.assert(
    fc.property(value, value, (baggage, forwarded) => {
      const { fields } = new HpackDecoder(LIMITS).decode(encodeConnect('10.0.0.1:80', { baggage, forwarded }))
      t.same(fields, [
        ':method',
        'CONNECT',
        ':authority',
        '10.0.0.1:80',
        'baggage',
        baggage,
        'forwarded',
        forwarded,
      ])
    }),
    { numRuns: 50 },
  )
  t.same(decode(encodeAnswer(503, {}).toString('hex')), [':status', '503'])
  for (const bad of ['a\nb', 'a\rb', 'a\0b', ' a', 'a\t'])
    t.throws(() => encodeConnect('a:1', { baggage: bad }), { code: 'unsendable' }, JSON.stringify(bad))
  t.throws(() => encodeConnect('a:1', { Baggage: '' }), { code: 'unsendable' })
})

// nghttp2 writes with Huffman and the dynamic table.
t.test('what nghttp2 writes is what we read', async (t) => {
  const values = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).map(
    (c) => `a${c.repeat(9)}a`,
  )
  const blocks = await blocksOf(values)
  const decoder = new HpackDecoder(LIMITS)
  const seen = blocks.map((block) => decoder.decode(block).fields.at(-1))
  t.same(seen, values)
})

/** The header blocks of requests that node:http2 makes of these values. */
async function blocksOf(values: readonly string[]): Promise<Buffer[]> {
  const blocks: Buffer[] = []
  const done = Promise.withResolvers<void>()
  const reader = new FrameReader(
    {
      onDataHead() {},
      onDataPiece() {},
      onDataEnd() {},
      onUnknownFrame() {},
      onFrame(type, flags, _streamId, payload) {
        if (type !== FRAME.HEADERS) return
        blocks.push(Buffer.from(payload.subarray(flags & FLAG.PRIORITY ? 5 : 0)))
        if (blocks.length === values.length) done.resolve()
      },
    },
    { maxFrameSize: 16_384, maxHeaderFragment: 16_384, preface: true },
  )
  const feed = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, next) {
      reader.read(chunk)
      next()
    },
  })
  const session = connect('http://hpack.invalid', { createConnection: () => feed })
  session.on('error', () => {})
  for (const value of values) session.request({ ':path': '/', 'x-value': value }).on('error', () => {})
  await done.promise
  session.destroy()
  feed.destroy()
  return blocks
}

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
