import { once } from 'node:events'
import { createServer } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import t from 'tap'
import { CLIENT_PREFACE, contentOf, encodeFrame, FLAG, FRAME, FrameParser, settingsFrame } from './frames.ts'
import { encodeFields, FieldDecoder } from './hpack.ts'

t.test('blocks of a connection are read in order, with its dynamic table', async (t) => {
  const decoder = new FieldDecoder()
  t.teardown(() => decoder.close())
  // RFC 7541 appendix C.6.1 and C.6.2: Huffman coded, the second by way of the first one's table.
  const first = Buffer.from(
    '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
    'hex',
  )
  t.same(
    [...(await decoder.decode(first))],
    [
      [':status', '302'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ],
  )
  const [second, third] = await Promise.all([
    decoder.decode(Buffer.from('4883640effc1c0bf', 'hex')),
    decoder.decode(Buffer.from('88c0bf', 'hex')),
  ])
  t.equal(second.get(':status'), '307')
  t.equal(second.get('location'), 'https://www.example.com')
  t.equal(third.get(':status'), '200')
})

t.test('what is no answer is refused', async (t) => {
  for (const [what, hex] of [
    ['an index that no table has', 'ff00'],
    ['no :status', '4003666f6f03626172'],
  ] as const) {
    const decoder = new FieldDecoder()
    t.teardown(() => decoder.close())
    await t.rejects(decoder.decode(Buffer.from(hex, 'hex')), what)
  }
})

t.test('a server reads what we encode, values longer than one byte can say among them', async (t) => {
  const long = 'v'.repeat(40_000)
  const server = createServer({ settings: { maxHeaderListSize: 100_000 } })
  const seen = once(server, 'stream')
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.teardown(() => {
    socket.destroy()
    server.close()
  })
  const block = encodeFields([
    [':method', 'CONNECT'],
    [':authority', '10.0.0.1:80'],
    ['baggage', 'x'.repeat(127)],
    ['forwarded', long],
  ])
  socket.write(Buffer.concat([CLIENT_PREFACE, settingsFrame()]))
  socket.write(encodeFrame({ type: FRAME.HEADERS, streamId: 1, payload: block.subarray(0, 10_000) }))
  socket.write(
    encodeFrame({ type: FRAME.CONTINUATION, streamId: 1, payload: block.subarray(10_000, 26_000) }),
  )
  const flags = FLAG.END_HEADERS
  socket.write(encodeFrame({ type: FRAME.CONTINUATION, streamId: 1, flags, payload: block.subarray(26_000) }))
  const [, headers] = await seen
  t.equal(headers[':authority'], '10.0.0.1:80')
  t.equal(headers['baggage'].length, 127)
  t.equal(headers['forwarded'], long)
})

t.test('frames come whole, however the bytes are cut', async (t) => {
  const bytes = Buffer.concat([
    settingsFrame({ 4: 65_535 }),
    encodeFrame({ type: FRAME.DATA, flags: FLAG.PADDED, streamId: 3, payload: Buffer.from('\x02hi\0\0') }),
    encodeFrame({ type: 0xee, streamId: 5 }),
  ])
  const parser = new FrameParser()
  const frames = [...bytes].flatMap((byte) => parser.push(Buffer.from([byte])))
  t.match(frames, [{ type: FRAME.SETTINGS }, { type: FRAME.DATA, streamId: 3 }, { type: 0xee, streamId: 5 }])
  const [, data] = frames
  t.equal(String(data && contentOf(data)), 'hi')
  t.throws(
    () => new FrameParser().push(encodeFrame({ type: 0, claimedLength: 2 ** 24 - 1 })),
    /16777215 bytes/,
  )
})
