import { once } from 'node:events'
import t from 'tap'
import { engine, http1Upstream, talk } from './test-support.ts'

t.test('a request goes to the upstream, and its answer comes back', async (t) => {
  const upstream = await http1Upstream(t, (request, response) => {
    t.equal(request.headers.host, 'echo:8080')
    t.match(request.headers['x-request-id'], /^[0-9a-f-]{36}$/)
    t.equal(request.headers['x-forwarded-proto'], 'http')
    t.equal(request.url, '/b?c=1')
    response.setHeader('x-answer', 'yes')
    response.end('hello')
  })
  const { open, nextResult } = engine(t, upstream.target)
  const answer = await talk(open(), 'GET /a/../b?c=1 HTTP/1.1\r\nHost: echo:8080\r\nX-A: 1\r\n\r\n', /hello/)
  t.match(answer, /^HTTP\/1.1 200 OK\r\n/)
  t.match(answer, /x-answer: yes\r\n/)
  t.match(await nextResult(), { status: 200, responseBytes: 5, requestBytes: 0, tries: 1, flags: [] })
})

t.test('one connection serves one request after the other, to the client and to the upstream', async (t) => {
  const upstream = await http1Upstream(t, async (request, response) => {
    request.resume()
    await once(request, 'end')
    response.end(`<${request.url}>`)
  })
  const { open, nextResult } = engine(t, upstream.target)
  const client = open()
  for (const path of ['/1', '/2', '/3']) {
    const answer = await talk(
      client,
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc`,
      /<\/\d>/,
    )
    t.match(answer, `<${path}>`)
    t.match(await nextResult(), { status: 200, requestBytes: 3 })
  }
  t.equal(upstream.connections(), 1)
})

t.test('pipelined requests are answered in order', async (t) => {
  const upstream = await http1Upstream(t, (request, response) => response.end(`<${request.url}>`))
  const { open, exchanges } = engine(t, upstream.target)
  const requests = Array.from({ length: 20 }, (_, index) => `GET /${index} HTTP/1.1\r\nHost: a\r\n\r\n`)
  const answer = await talk(open(), requests.join(''), /<\/19>/)
  const paths = [...answer.matchAll(/<\/(\d+)>/g)].map(([, path]) => Number(path))
  t.same(
    paths,
    Array.from({ length: 20 }, (_, index) => index),
  )
  t.equal(exchanges.length, 20)
})
