import { once } from 'node:events'
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2'
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { engine, http1Upstream, http2Upstream } from './test-support.ts'

function session(t: Test, tunnel: Duplex): ClientHttp2Session {
  const client = connect('http://echo:80', { createConnection: () => tunnel })
  client.on('error', () => {})
  t.teardown(() => client.destroy())
  return client
}

interface Answer {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly trailers: IncomingHttpHeaders
}

async function ask(
  client: ClientHttp2Session,
  headers: Record<string, string>,
  body?: string,
): Promise<Answer> {
  const stream = client.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  let trailers: IncomingHttpHeaders = {}
  stream.on('trailers', (fields) => {
    trailers = fields
  })
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const ended = once(stream, 'end')
  const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  await ended
  return { headers: answer, body: text, trailers }
}

t.test('HTTP/2 to HTTP/2, with trailers', async (t) => {
  const upstream = await http2Upstream(t, (stream, headers) => {
    t.equal(headers[':authority'], 'echo:80')
    t.equal(headers['te'], 'trailers')
    stream.respond({ ':status': 200, 'x-a': ['1', '2'] }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': 'yes', 'grpc-status': '3' }))
    stream.end(`hello ${headers[':path']}`)
  })
  const { open, nextResult } = engine(t, upstream.target)
  const client = session(t, open())
  const { headers, body, trailers } = await ask(client, { ':path': '/x', te: 'trailers' })
  t.equal(headers[':status'], 200)
  t.equal(headers['x-a'], '1, 2')
  t.equal(body, 'hello /x')
  t.equal(trailers['x-sum'], 'yes')
  t.match(await nextResult(), { status: 200, grpcStatus: 3, flags: [] })
  await Promise.all(
    Array.from({ length: 30 }, (_, index) => ask(client, { ':path': `/${index}`, te: 'trailers' })),
  )
  t.equal(upstream.connections(), 1)
})

t.test('request trailers go on', async (t) => {
  let seen: IncomingHttpHeaders = {}
  const upstream = await http2Upstream(t, (stream) => {
    stream.on('trailers', (fields) => {
      seen = fields
    })
    stream.resume().on('end', () => {
      stream.respond({ ':status': 204 }, { endStream: true })
    })
  })
  const { open } = engine(t, upstream.target)
  const stream = session(t, open()).request(
    { ':method': 'POST' },
    { endStream: false, waitForTrailers: true },
  )
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': 'abc' }))
  stream.end('hello')
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  t.equal(headers[':status'], 204)
  t.equal(seen['x-sum'], 'abc')
})

t.test(
  'HTTP/2 to HTTP/1.1: cookies are put together, the body is chunked, trailers go both ways',
  async (t) => {
    const upstream = await http1Upstream(t, async (request, response) => {
      t.equal(request.headers.host, 'echo:80')
      t.equal(request.headers.cookie, 'a=1; b=2')
      t.equal(request.headers['transfer-encoding'], 'chunked')
      let body = ''
      for await (const chunk of request) body += chunk
      t.equal(request.trailers['x-sum'], 'up')
      response.setHeader('trailer', 'x-down')
      response.write(body)
      response.addTrailers({ 'x-down': 'yes' })
      response.end()
    })
    const { open } = engine(t, upstream.target)
    const stream = session(t, open()).request(
      { ':method': 'POST', cookie: ['a=1', 'b=2'] },
      { endStream: false, waitForTrailers: true },
    )
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': 'up' }))
    stream.end('hello')
    let body = ''
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk
    })
    const [trailers] = (await once(stream, 'trailers')) as [IncomingHttpHeaders]
    t.equal(body, 'hello')
    t.equal(trailers['x-down'], 'yes')
  },
)

t.test('an early answer resets what is left of the request', async (t) => {
  const upstream = await http2Upstream(t, (stream) => {
    stream.respond({ ':status': 403 })
    stream.end('no')
  })
  const { open, nextResult } = engine(t, upstream.target)
  const stream = session(t, open()).request({ ':method': 'POST' }, { endStream: false })
  stream.write('hello')
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  t.equal(headers[':status'], 403)
  stream.resume()
  await once(stream, 'close')
  t.equal(stream.rstCode, 0)
  t.match(await nextResult(), { status: 403 })
})

t.test('a client that resets its stream is gone for the upstream, too', async (t) => {
  const aborted = Promise.withResolvers<void>()
  const upstream = await http2Upstream(t, (stream) => {
    stream.on('aborted', () => aborted.resolve())
    stream.respond({ ':status': 200 })
    stream.write('hello')
  })
  const { open, nextResult, exchanges } = engine(t, upstream.target)
  const stream = session(t, open()).request({ ':method': 'POST' }, { endStream: false })
  await once(stream, 'data')
  stream.close(8)
  await aborted.promise
  t.match(await nextResult(), { status: 200, flags: ['DC'] })
  t.ok(exchanges[0]?.signal.aborted)
})

t.test('HEAD, 204 and 304 have no body', async (t) => {
  const upstream = await http2Upstream(t, (stream, headers) => {
    const status = Number(headers['x-status'])
    stream.respond({ ':status': status, 'content-length': status === 200 ? '5' : '0' }, { endStream: true })
  })
  const { open } = engine(t, upstream.target)
  const client = session(t, open())
  const head = await ask(client, { ':method': 'HEAD', 'x-status': '200' })
  t.match(head, { headers: { ':status': 200, 'content-length': '5' }, body: '' })
  t.match(await ask(client, { 'x-status': '304' }), { headers: { ':status': 304 }, body: '' })
  t.match(await ask(client, { 'x-status': '204' }), { headers: { ':status': 204 }, body: '' })
})
