import { PassThrough } from 'node:stream'
import t from 'tap'
import { engine, http1Upstream, http2Upstream, rawUpstream, talk } from './test-support.ts'

t.test('trailers both ways in HTTP/1.1, without those that would change the message', async (t) => {
  const upstream = await http1Upstream(t, async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    t.same(request.trailers, { 'x-up': '1' })
    response.setHeader('trailer', 'x-down')
    response.write(body)
    response.addTrailers([
      ['x-down', '2'],
      ['set-cookie', 'a=b'],
    ])
    response.end()
  })
  const answer = await talk(
    engine(t, upstream.target).open(),
    'POST / HTTP/1.1\r\nHost: a\r\nTrailer: x-up\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '5\r\nhello\r\n0\r\nX-Up: 1\r\nHost: evil\r\n\r\n',
    /0\r\n(.*\r\n)*\r\n/,
  )
  t.match(answer, /5\r\nhello\r\n0\r\nx-down: 2\r\n\r\n$/)
})

t.test('HTTP/1.1 to HTTP/2: host is :authority, trailers become chunked ones', async (t) => {
  const upstream = await http2Upstream(t, (stream, headers) => {
    t.equal(headers[':authority'], 'echo:80')
    t.equal(headers[':scheme'], 'http')
    t.equal(headers['te'], 'trailers')
    t.notOk('connection' in headers || 'host' in headers || 'x-hop' in headers)
    stream.respond({ ':status': 200 }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.pipe(stream)
  })
  const { open, nextResult } = engine(t, upstream.target)
  const answer = await talk(
    open(),
    'POST / HTTP/1.1\r\nHost: echo:80\r\nTE: trailers, deflate\r\nConnection: TE, X-Hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n\r\nhello',
    /grpc-status: 0\r\n\r\n/,
  )
  t.match(answer, /transfer-encoding: chunked\r\n/i)
  t.match(await nextResult(), { status: 200, grpcStatus: 0 })
})

t.test('HEAD, 204 and 304 have no body, and the connection goes on', async (t) => {
  const upstream = await http1Upstream(t, (request, response) => {
    const status = Number(request.headers['x-status'])
    if (status === 304) response.setHeader('content-length', '7')
    response.statusCode = status
    response.end(request.method === 'HEAD' ? undefined : status === 200 ? 'hello' : undefined)
  })
  const { open } = engine(t, upstream.target)
  const client = open()
  t.match(
    await talk(client, 'HEAD / HTTP/1.1\r\nHost: a\r\nX-Status: 200\r\n\r\n', /\r\n\r\n/),
    /^HTTP\/1.1 200 .*\r\n\r\n$/s,
  )
  const notModified = await talk(client, 'GET / HTTP/1.1\r\nHost: a\r\nX-Status: 304\r\n\r\n', /\r\n\r\n/)
  t.match(notModified, /^HTTP\/1.1 304 .*content-length: 7\r\n.*\r\n\r\n$/s)
  t.notMatch(notModified, /transfer-encoding/i)
  const empty = await talk(client, 'GET / HTTP/1.1\r\nHost: a\r\nX-Status: 204\r\n\r\n', /\r\n\r\n/)
  t.match(empty, /^HTTP\/1.1 204 .*\r\n\r\n$/s)
  t.notMatch(empty, /transfer-encoding|content-length/i)
  t.match(
    await talk(client, 'GET / HTTP/1.1\r\nHost: a\r\nX-Status: 200\r\n\r\n', /hello/),
    /^HTTP\/1.1 200 /,
  )
})

t.test('an answer that ends with its connection', async (t) => {
  const upstream = await rawUpstream(t, (socket) =>
    socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nhello')),
  )
  const { open, nextResult } = engine(t, upstream.target)
  t.match(
    await talk(open(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', /0\r\n\r\n$/),
    /chunked.*5\r\nhello\r\n0\r\n\r\n$/is,
  )
  t.match(await nextResult(), { status: 200, flags: [], responseBytes: 5 })
})

t.test('a client of HTTP/1.0 gets no chunks', async (t) => {
  const upstream = await http1Upstream(t, (request, response) => {
    t.equal(request.httpVersion, '1.1')
    response.write('hel')
    response.end('lo')
  })
  const answer = await talk(engine(t, upstream.target).open(), 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  t.match(answer, /\r\n\r\nhello$/)
  t.notMatch(answer, /chunked/i)
})

t.test('the head of an answer does not wait for its body', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => response.flushHeaders())
  t.match(
    await talk(engine(t, upstream.target).open(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', /\r\n\r\n/),
    /^HTTP\/1.1 200 /,
  )
})

t.test('the head of a request does not wait for its body', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => response.end('early'))
  t.match(
    await talk(
      engine(t, upstream.target).open(),
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n',
      /early/,
    ),
    /^HTTP\/1.1 200 /,
  )
})

t.test('an early answer arrives whole, while the client goes on sending', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => {
    response.writeHead(403, { connection: 'close' })
    response.end('no')
  })
  const { open, nextResult } = engine(t, upstream.target)
  const client = open()
  const answer = talk(
    client,
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n${'x'.repeat(100_000)}`,
  )
  const sending = setInterval(() => client.write('x'.repeat(10_000)), 5)
  t.teardown(() => clearInterval(sending))
  t.match(await answer, /^HTTP\/1.1 403 .*no\r\n0\r\n\r\n$/s)
  t.match(await nextResult(), { status: 403, flags: [] })
})

t.test('a client that goes away is gone for the upstream, too', async (t) => {
  const gone = Promise.withResolvers<void>()
  const upstream = await http1Upstream(t, (request, response) => {
    response.write('hello')
    request.once('close', () => {})
    response.once('close', () => gone.resolve())
  })
  const { open, nextResult, exchanges } = engine(t, upstream.target)
  const client = open()
  await talk(client, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', /hello/)
  client.destroy()
  await gone.promise
  t.match(await nextResult(), { status: 200, flags: ['DC'] })
  t.ok(exchanges[0]?.signal.aborted)
})

t.test('a client that ends its side before the answer is gone', async (t) => {
  const client = new PassThrough()
  const upstream = await rawUpstream(t, (socket) => socket.resume().once('data', () => client.end()))
  const { open, nextResult } = engine(t, upstream.target)
  client.pipe(open())
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  t.match(await nextResult(), { status: 0, flags: ['DC'] })
})

t.test(
  'a client that stops in the middle of its body: the upstream does not get a whole request',
  async (t) => {
    const seen = Promise.withResolvers<boolean>()
    const begun = Promise.withResolvers<void>()
    const upstream = await http1Upstream(t, (request) => {
      begun.resolve()
      request.on('error', () => {}).resume()
      request.once('close', () => seen.resolve(request.complete))
    })
    const { open, nextResult } = engine(t, upstream.target)
    const client = open()
    client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    const result = nextResult()
    await begun.promise
    client.destroy()
    t.equal(await seen.promise, false)
    t.match(await result, { flags: ['DC'] })
  },
)

t.test(
  'a bad chunk in the middle of a body: 400, and the upstream does not get a whole request',
  async (t) => {
    const seen = Promise.withResolvers<boolean>()
    const begun = Promise.withResolvers<void>()
    const upstream = await http1Upstream(t, (request) => {
      begun.resolve()
      request.on('error', () => {}).resume()
      request.once('close', () => seen.resolve(request.complete))
    })
    const { open, nextResult } = engine(t, upstream.target)
    const client = open()
    client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    await begun.promise
    t.match(await talk(client, '0x5\r\nhello\r\n0\r\n\r\n'), /^HTTP\/1.1 400 /)
    t.equal(await seen.promise, false)
    t.match(await nextResult(), { flags: ['DC'] })
  },
)
