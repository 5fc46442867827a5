import t from 'tap'
import { engine, http1Upstream, rawUpstream, talk } from './test-support.ts'

t.test('a head that is too large: 431', async (t) => {
  const upstream = await rawUpstream(t, () => {})
  const { open } = engine(t, upstream.target, { limits: { maxHeaderBytes: 4096 } })
  t.match(
    await talk(open(), `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(5000)}\r\n\r\n`),
    /^HTTP\/1.1 431 /,
  )
  t.equal(upstream.connections(), 0)
})

t.test('an answer may have as large a head as a request, and no larger', async (t) => {
  const upstream = await http1Upstream(t, (request, response) => {
    response.setHeader('x', 'y'.repeat(Number(request.headers['x-size'])))
    response.end('hello')
  })
  const { open } = engine(t, upstream.target)
  const get = (size: number): string =>
    `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Size: ${size}\r\n\r\n`
  t.match(await talk(open(), get(50_000)), /hello$/)
  t.match(await talk(open(), get(70_000)), /^HTTP\/1.1 502 /)
})

t.test('too many fields: 431', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => response.end('hello'))
  const { open } = engine(t, upstream.target, { limits: { maxHeaders: 10 } })
  const head = (fields: number): string =>
    `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(fields - 1)}Connection: keep-alive\r\n\r\n`
  t.match(await talk(open(), head(10)), /^HTTP\/1.1 431 /)
  t.equal(upstream.connections(), 0)
  t.match(await talk(open(), head(9), /hello/), /^HTTP\/1.1 200 /)
})

t.test('a target that is too long: 414', async (t) => {
  const upstream = await rawUpstream(t, () => {})
  const { open } = engine(t, upstream.target, { limits: { maxTargetBytes: 100 } })
  t.match(await talk(open(), `GET /${'x'.repeat(100)} HTTP/1.1\r\nHost: a\r\n\r\n`), /^HTTP\/1.1 414 /)
  t.equal(upstream.connections(), 0)
})

t.test('a request line longer than all of the head may be: 414', async (t) => {
  const { open } = engine(t, undefined, { limits: { maxHeaderBytes: 4096 } })
  t.match(await talk(open(), `GET /${'x'.repeat(5000)}`), /^HTTP\/1.1 414 /)
})

t.test('a body that is announced too long: 413', async (t) => {
  const upstream = await rawUpstream(t, () => {})
  const { open } = engine(t, upstream.target, { limits: { maxBodyBytes: 10 } })
  t.match(await talk(open(), 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n'), /^HTTP\/1.1 413 /)
  t.equal(upstream.connections(), 0)
})

t.test('a body that turns out too long: 413, and the upstream does not get all of it', async (t) => {
  let complete = false
  const upstream = await http1Upstream(t, (request) => {
    request.on('error', () => {}).resume()
    request.once('close', () => {
      complete = request.complete
    })
  })
  const { open, nextResult } = engine(t, upstream.target, { limits: { maxBodyBytes: 10 } })
  const client = open()
  client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nabcdefgh\r\n')
  t.match(await talk(client, '8\r\nabcdefgh\r\n'), /^HTTP\/1.1 413 /)
  t.match(await nextResult(), { status: 413 })
  t.notOk(complete)
})

t.test('a head that does not end: 408', async (t) => {
  const { open, refusals } = engine(t, undefined, { limits: { headersTimeoutMs: 50 } })
  t.match(await talk(open(), 'GET / HTTP/1.1\r\nHost: a\r\nX: '), /^HTTP\/1.1 408 /)
  t.match(refusals, [/^408 /])
})

t.test('a head that does not end after other requests: 408', async (t) => {
  const { open } = engine(t, undefined, { limits: { headersTimeoutMs: 50 } })
  const client = open()
  await talk(client, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', /local/)
  t.match(await talk(client, 'GET / HTTP/1.1\r\n'), /^HTTP\/1.1 408 /)
})

t.test('a connection that is idle is closed without a word', async (t) => {
  const { open } = engine(t, undefined, { protocol: 'http1', limits: { idleTimeoutMs: 50 } })
  t.equal(await talk(open(), ''), '')
  t.match(await talk(open(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'), /local$/)
})

t.test('the last request that a connection may have says so', async (t) => {
  const { open } = engine(t, undefined, { limits: { maxRequestsPerConnection: 2 } })
  const client = open()
  t.notMatch(await talk(client, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', /local/), /connection: close/i)
  t.match(await talk(client, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'), /connection: close/i)
})

t.test('a drain ends idle connections at once, and others after their answer', async (t) => {
  const drain = new AbortController()
  const upstream = await http1Upstream(t, (_, response) => {
    drain.abort()
    response.end('hello')
  })
  const { open } = engine(t, upstream.target, { protocol: 'http1', signal: drain.signal })
  const idle = talk(open(), '')
  const answer = await talk(open(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  t.match(answer, /connection: close/i)
  t.match(answer, /hello$/)
  t.equal(await idle, '')
})
