import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import t from 'tap'
import { engine, http1Upstream, http2Upstream, rawUpstream, talk, targetOf } from './test-support.ts'

const UPGRADE =
  'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'

t.test('a WebSocket: both sides talk, with bytes in the first packets', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => response.writeHead(400).end())
  const server = createServer()
  server.on('upgrade', (request, socket: Duplex) => {
    t.equal(request.headers.upgrade, 'websocket')
    t.equal(request.headers['sec-websocket-version'], '13')
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n')
    socket.write('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nwelcome')
    socket.on('data', (chunk) => socket.write(`<${chunk}>`)).on('end', () => socket.end('bye'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const { open, nextResult, exchanges } = engine(t, targetOf(port, 'http1'))
  const client = open()
  const answer = await talk(client, `${UPGRADE}early`, /<early>/)
  t.match(answer, /^HTTP\/1.1 101 Switching Protocols\r\n/)
  t.match(answer, /connection: upgrade\r\n/)
  t.match(answer, /upgrade: websocket\r\n/)
  t.match(answer, /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/)
  t.match(answer, /welcome<early>$/)
  t.match(await talk(client, 'hello', /<hello>/), /<hello>/)
  client.end()
  t.match(await nextResult(), { status: 101, flags: [], requestBytes: 10 })
  t.equal(exchanges[0]?.upgrade, 'websocket')
  t.equal(upstream.connections(), 0)
})

t.test('an upstream that does not want to answers as usual, and the connection is closed', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => response.writeHead(403).end('no'))
  const { open, nextResult } = engine(t, upstream.target)
  const answer = await talk(open(), UPGRADE)
  t.match(answer, /^HTTP\/1.1 403 .*connection: close.*\r\nno\r\n0\r\n\r\n$/is)
  t.match(await nextResult(), { status: 403, flags: [] })
})

t.test('refused by us', async (t) => {
  const { open } = engine(t, undefined)
  t.match(await talk(open(), UPGRADE), /^HTTP\/1.1 200 .*local$/s)
})

t.test('a long refusal arrives whole', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => response.writeHead(403).end('n'.repeat(3_000_000)))
  const answer = await talk(engine(t, upstream.target).open(), UPGRADE)
  t.equal(answer.slice(answer.indexOf('\r\n\r\n')).match(/n/g)?.length, 3_000_000)
})

t.test('an upgrade that nobody asked for is no answer', async (t) => {
  const upstream = await rawUpstream(t, (socket) => {
    socket.once('data', () =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n'),
    )
  })
  const { open, nextResult } = engine(t, upstream.target)
  t.match(await talk(open(), UPGRADE), /^HTTP\/1.1 502 /)
  t.match(await nextResult(), { flags: ['UPE'] })
  t.match(await talk(open(), 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 502 /)
})

t.test('other protocols are not heard: h2c is a request like any other', async (t) => {
  const upstream = await http1Upstream(t, (request, response) => {
    t.equal(request.headers.upgrade, undefined)
    t.equal(request.headers['http2-settings'], undefined)
    t.notMatch(request.headers.connection, /upgrade/i)
    response.end('hello')
  })
  const answer = await talk(
    engine(t, upstream.target).open(),
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n',
    /hello/,
  )
  t.match(answer, /^HTTP\/1.1 200 /)
})

t.test('over an upstream of HTTP/2 there is none', async (t) => {
  const upstream = await http2Upstream(t, (stream) => stream.respond({ ':status': 200 }, { endStream: true }))
  t.match(await talk(engine(t, upstream.target).open(), UPGRADE), /^HTTP\/1.1 502 /)
})

t.test(
  'an upgrade behind a request that has no answer yet: 400, and neither is answered otherwise',
  async (t) => {
    const upstream = await rawUpstream(t, (socket) => socket.resume())
    const { open, refusals } = engine(t, upstream.target)
    const answer = await talk(open(), `GET / HTTP/1.1\r\nHost: a\r\n\r\n${UPGRADE}`)
    t.match(answer, /^HTTP\/1.1 400 .*an upgrade must stand alone\n$/s)
    t.match(refusals, [/^400 /])
  },
)
