import t from 'tap'
import { encodeFrame, FLAG, FRAME, pingFrame, resetFrame, settingsFrame } from '../../conformance/frames.ts'
import { encodeFields, type Fields } from '../../conformance/hpack.ts'
import { RawHttp2Client, REQUEST } from './http2-test-support.ts'
import { engine, http1Upstream, rawUpstream } from './test-support.ts'

const PROTOCOL_ERROR = 'RST_STREAM PROTOCOL_ERROR'

/** Requests that could be read in two ways, and what becomes of them. */
const CASES: readonly (readonly [name: string, fate: string, fields: Fields])[] = [
  ['no :method', PROTOCOL_ERROR, without(':method')],
  ['no :scheme', PROTOCOL_ERROR, without(':scheme')],
  ['no :path', PROTOCOL_ERROR, without(':path')],
  ['an empty :path', PROTOCOL_ERROR, replaced(':path', '')],
  ['no authority at all', PROTOCOL_ERROR, without(':authority')],
  ['two :path', PROTOCOL_ERROR, [...REQUEST, [':path', '/b']]],
  ['two :method', PROTOCOL_ERROR, [...REQUEST, [':method', 'POST']]],
  ['two :authority', PROTOCOL_ERROR, [...REQUEST, [':authority', 'b']]],
  ['a pseudo-header after a field', PROTOCOL_ERROR, [['x', 'y'], ...REQUEST]],
  ['an unknown pseudo-header', PROTOCOL_ERROR, [...REQUEST, [':foo', 'b']]],
  [':status in a request', PROTOCOL_ERROR, [...REQUEST, [':status', '200']]],
  [':protocol, which we have not offered', PROTOCOL_ERROR, connecting([[':protocol', 'websocket']])],
  ['connection', PROTOCOL_ERROR, [...REQUEST, ['connection', 'close']]],
  ['keep-alive', PROTOCOL_ERROR, [...REQUEST, ['keep-alive', '1']]],
  ['proxy-connection', PROTOCOL_ERROR, [...REQUEST, ['proxy-connection', 'close']]],
  ['transfer-encoding', PROTOCOL_ERROR, [...REQUEST, ['transfer-encoding', 'chunked']]],
  ['upgrade', PROTOCOL_ERROR, [...REQUEST, ['upgrade', 'h2c']]],
  ['te beside trailers', PROTOCOL_ERROR, [...REQUEST, ['te', 'gzip']]],
  ['a name in capitals', PROTOCOL_ERROR, [...REQUEST, ['X-A', 'b']]],
  ['a line end in :path', PROTOCOL_ERROR, replaced(':path', '/ HTTP/1.1\r\nHost: b')],
  ['a line end in :method', PROTOCOL_ERROR, replaced(':method', 'GET / HTTP/1.1\r\nX: ')],
  ['a line end in :authority', PROTOCOL_ERROR, replaced(':authority', 'a\r\nX: y')],
  ['two lengths', PROTOCOL_ERROR, [...REQUEST, ['content-length', '0'], ['content-length', '0']]],
  ['a length that is no number', PROTOCOL_ERROR, [...REQUEST, ['content-length', '+1']]],
  ['a length without a body', PROTOCOL_ERROR, [...REQUEST, ['content-length', '5']]],
  ['a space in :path', PROTOCOL_ERROR, replaced(':path', '/a b')],
  ['a :path that does not begin with /', PROTOCOL_ERROR, replaced(':path', 'a')],
  ['a fragment in :path', 'HEADERS 400', replaced(':path', '/a#b')],
  ['a :path of another server', PROTOCOL_ERROR, replaced(':path', 'http://b/')],
  ['a :scheme that is not ours', 'HEADERS 400', replaced(':scheme', 'ftp')],
  ['another host', 'HEADERS 400', [...REQUEST, ['host', 'b']]],
  ['two hosts', PROTOCOL_ERROR, [...without(':authority'), ['host', 'a'], ['host', 'b']]],
  ['a user in :authority', PROTOCOL_ERROR, replaced(':authority', 'u@a')],
]

for (const [name, fate, fields] of CASES) {
  t.test(name, async (t) => {
    const upstream = await rawUpstream(t, (socket) => socket.resume())
    const { open, exchanges } = engine(t, upstream.target)
    const client = new RawHttp2Client(open())
    client.headers(1, fields)
    t.equal(await client.fate(1), fate)
    t.same(exchanges, [], 'no request')
    t.equal(upstream.connections(), 0, 'nothing reached the upstream')
  })
}

t.test('fields with characters that HTTP does not have are dropped', async (t) => {
  const fields: string[] = []
  const upstream = await http1Upstream(t, (request, response) => {
    fields.push(...request.rawHeaders)
    response.end()
  })
  const { open, exchanges } = engine(t, upstream.target)
  const client = new RawHttp2Client(open())
  client.headers(1, [
    ...REQUEST,
    ['x a', 'b'],
    ['x\r\ny', 'b'],
    ['x-line', 'a\r\nhost: b'],
    ['x-nul', 'a\0b'],
    ['x-good', 'c'],
  ])
  t.equal(await client.fate(1), 'HEADERS 200')
  const names = fields.filter((_, index) => index % 2 === 0)
  t.same(names, ['host', 'x-good', 'x-request-id', 'x-forwarded-proto', 'Connection'])
  t.same(
    exchanges[0]?.head.headers.filter((_, index) => index % 2 === 0),
    ['x-good', 'x-request-id', 'x-forwarded-proto'],
  )
})

t.test('an ordinary request, for comparison', async (t) => {
  const client = new RawHttp2Client(engine(t, undefined).open())
  client.headers(1, REQUEST)
  t.equal(await client.fate(1), 'HEADERS 200')
})

t.test(
  'more or less of a body than its length says: the upstream does not get a whole request',
  async (t) => {
    for (const [length, sent] of [
      ['5', 'hi'],
      ['1', 'hi'],
    ] as const) {
      const bytes = Promise.withResolvers<string>()
      const upstream = await rawUpstream(t, (socket) => {
        let text = ''
        socket.on('data', (chunk) => {
          text += chunk
        })
        socket.on('end', () => bytes.resolve(text)).on('close', () => bytes.resolve(text))
      })
      const { open, exchanges, nextResult } = engine(t, upstream.target)
      const client = new RawHttp2Client(open())
      client.headers(1, [...replaced(':method', 'POST'), ['content-length', length]], false)
      while (upstream.connections() === 0) await new Promise(setImmediate)
      client.write(
        encodeFrame({ type: FRAME.DATA, flags: FLAG.END_STREAM, streamId: 1, payload: Buffer.from(sent) }),
      )
      t.match(await client.fate(1), /^RST_STREAM PROTOCOL_ERROR|^GOAWAY/)
      t.match(await nextResult(), { flags: ['DC'] })
      const text = await bytes.promise
      t.ok(text.slice(text.indexOf('\r\n\r\n') + 4).length < Number(length), text)
      t.equal(exchanges.length, 1)
    }
  },
)

t.test('too many fields: 431 up to twice as many, and then a reset', async (t) => {
  const { open } = engine(t, undefined, { limits: { maxHeaders: 20 } })
  const client = new RawHttp2Client(open())
  const many = (count: number): Fields => [
    ...REQUEST,
    ...Array.from({ length: count - 4 }, () => ['x', 'y'] as const),
  ]
  client.headers(1, many(21))
  client.headers(3, many(60))
  t.match(await client.fate(1), /^HEADERS /)
  t.not(await client.fate(1), 'HEADERS 200')
  t.equal(await client.fate(3), 'RST_STREAM ENHANCE_YOUR_CALM')
})

t.test('a header list that is too large', async (t) => {
  const { open, exchanges, refusals } = engine(t, undefined, { limits: { maxHeaderBytes: 4096 } })
  const client = new RawHttp2Client(open())
  client.headers(1, [...REQUEST, ['x', 'y'.repeat(8000)]])
  t.match(await client.fate(1), /^HEADERS (?!200)/)
  t.same(exchanges, [])
  t.same(refusals, ['431 header list larger than 4096 bytes'])
})

t.test('more streams than we have announced', async (t) => {
  const upstream = await rawUpstream(t, (socket) => socket.resume())
  const { open, exchanges } = engine(t, upstream.target, { limits: { maxConcurrentStreams: 5 } })
  const client = new RawHttp2Client(open())
  for (let id = 1; id <= 11; id += 2) client.headers(id, REQUEST)
  t.equal(await client.fate(11), 'RST_STREAM REFUSED_STREAM')
  t.equal(exchanges.length, 5)
})

t.test('rapid reset: the connection is ended', async (t) => {
  const upstream = await rawUpstream(t, (socket) => socket.resume())
  const { open } = engine(t, upstream.target)
  const client = new RawHttp2Client(open())
  for (let id = 1; id < 20_000 && !client.ended; id += 2) {
    client.headers(id, REQUEST)
    client.write(resetFrame(id, 'CANCEL'))
    if (id % 200 === 1) await new Promise(setImmediate)
  }
  t.match(await client.fate(0x7fffffff), /^GOAWAY|closed/)
})

t.test('CONTINUATION without end: the connection is ended', async (t) => {
  const { open } = engine(t, undefined)
  const client = new RawHttp2Client(open())
  client.write(encodeFrame({ type: FRAME.HEADERS, streamId: 1, payload: encodeFields(REQUEST) }))
  const payload = encodeFields([['x', 'y'.repeat(1000)]])
  for (let count = 0; count < 20_000 && !client.ended; count++) {
    client.write(encodeFrame({ type: FRAME.CONTINUATION, streamId: 1, payload }))
    if (count % 100 === 0) await new Promise(setImmediate)
  }
  t.match(await client.fate(1), /^GOAWAY|closed|RST_STREAM/)
})

for (const [name, frame] of [
  ['SETTINGS', settingsFrame()],
  ['PING', pingFrame()],
] as const) {
  t.test(`a flood of ${name} whose answers nobody reads: the connection is ended`, async (t) => {
    const { open } = engine(t, undefined)
    const tunnel = open()
    const client = new RawHttp2Client(tunnel)
    tunnel.pause()
    const batch = Buffer.concat(Array.from({ length: 1000 }, () => frame))
    let closed = false
    tunnel.once('close', () => {
      closed = true
    })
    for (let count = 0; count < 500 && !closed && !client.ended; count++) {
      client.write(batch)
      await new Promise(setImmediate)
    }
    tunnel.resume()
    t.match(await client.fate(1), /^GOAWAY|closed/)
  })
}

function without(name: string): Fields {
  return REQUEST.filter(([each]) => each !== name)
}

function replaced(name: string, value: string): Fields {
  return REQUEST.map(([each, old]) => [each, each === name ? value : old] as const)
}

function connecting(more: Fields): Fields {
  return [...replaced(':method', 'CONNECT'), ...more]
}
