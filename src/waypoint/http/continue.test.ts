import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { engine, http2Upstream, rawUpstream, talk, targetOf } from './test-support.ts'

const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n'

async function continuing(t: Test, accept: boolean): Promise<number> {
  const server = createServer()
  server.on('checkContinue', async (request, response) => {
    if (!accept) {
      response.writeHead(413).end('too much')
      return
    }
    response.writeContinue()
    let body = ''
    for await (const chunk of request) body += chunk
    response.end(`<${body}>`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

t.test('100 comes from the upstream, and the body after it', async (t) => {
  const { open, exchanges } = engine(t, targetOf(await continuing(t, true), 'http1'))
  const client = open()
  t.equal(await talk(client, HEAD, /\r\n\r\n/), 'HTTP/1.1 100 Continue\r\n\r\n')
  t.match(await talk(client, 'hello', /<hello>/), /^HTTP\/1.1 200 /)
  t.equal(exchanges[0]?.expectsContinue, true)
})

t.test('no 100 when the upstream refuses; the connection is closed', async (t) => {
  const { open, nextResult } = engine(t, targetOf(await continuing(t, false), 'http1'))
  const answer = await talk(open(), HEAD)
  t.match(answer, /^HTTP\/1.1 413 .*too much\r\n0\r\n\r\n$/s)
  t.match(answer, /connection: close/i)
  t.match(await nextResult(), { status: 413, flags: [] })
})

t.test('no 100 when we answer', async (t) => {
  t.match(await talk(engine(t, undefined).open(), HEAD), /^HTTP\/1.1 200 .*local$/s)
})

t.test('from HTTP/1.1 to HTTP/2 and back', async (t) => {
  const upstream = await http2Upstream(t, (stream, headers) => {
    t.equal(headers['expect'], '100-continue')
    stream.additionalHeaders({ ':status': 100 })
    stream.once('data', () => {
      stream.respond({ ':status': 200 })
      stream.end('hello')
    })
  })
  const client = engine(t, upstream.target).open()
  t.equal(await talk(client, HEAD, /\r\n\r\n/), 'HTTP/1.1 100 Continue\r\n\r\n')
  t.match(await talk(client, 'hello', /hello$/), /^HTTP\/1.1 200 /)
})

t.test('HTTP/2 to HTTP/1.1', async (t) => {
  const { open } = engine(t, targetOf(await continuing(t, true), 'http1'))
  const client = connect('http://a', { createConnection: open })
  t.teardown(() => client.destroy())
  const stream = client.request({ ':method': 'POST', expect: '100-continue' }, { endStream: false })
  await once(stream, 'continue')
  stream.end('hello')
  const [chunk] = (await once(stream, 'data')) as [Buffer]
  t.equal(chunk.toString(), '<hello>')
})

t.test('103 is passed on, with its fields', async (t) => {
  const upstream = await rawUpstream(t, (socket) => {
    socket.on('data', () => {
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n')
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello')
    })
  })
  const { open } = engine(t, upstream.target)
  const answer = await talk(open(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', /hello/)
  t.match(answer, /^HTTP\/1.1 103 Early Hints\r\nlink: <\/a>; rel=preload\r\n\r\nHTTP\/1.1 200 OK/)
  const client = connect('http://a', { createConnection: open })
  t.teardown(() => client.destroy())
  const stream = client.request({}, { endStream: true })
  const [headers] = await once(stream, 'headers')
  t.match(headers, { ':status': 103, link: '</a>; rel=preload' })
})
