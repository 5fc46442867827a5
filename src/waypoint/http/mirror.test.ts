import t from 'tap'
import type { ForwardTarget, HttpExchange } from './exchange.ts'
import { HttpUpstreamPool } from './index.ts'
import { engine, http1Upstream, rawUpstream, talk } from './test-support.ts'

/** Mirrors everything to `copy` before it forwards to `target`; resolves with how the copy fared. */
function mirroring(
  t: Parameters<typeof engine>[0],
  target: ForwardTarget,
  copy: ForwardTarget,
): { open: ReturnType<typeof engine>['open']; done: Promise<Error | undefined> } {
  const { promise, resolve } = Promise.withResolvers<Error | undefined>()
  const upstreams = new HttpUpstreamPool()
  const onRequest = (exchange: HttpExchange): void => {
    exchange.mirror({ ...copy, head: { ...exchange.head, authority: 'copy' }, onDone: resolve })
    void exchange.forward({ ...target, head: exchange.head })
  }
  const { open } = engine(t, undefined, { upstreams, onRequest })
  return { open, done: promise }
}

const POST = 'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'

t.test('the copy has the whole request, and its answer is dropped', async (t) => {
  const got = Promise.withResolvers<string>()
  const copy = await http1Upstream(t, async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    got.resolve(`${request.headers.host} ${request.url} ${body}`)
    response.writeHead(500).end('copy')
  })
  const upstream = await http1Upstream(t, async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    response.end(`<${body}>`)
  })
  const { open, done } = mirroring(t, upstream.target, copy.target)
  const answer = await talk(open(), `${POST}5\r\nhello\r\n0\r\n\r\n`)
  t.match(answer, /^HTTP\/1.1 200 .*<hello>/s)
  t.equal(await got.promise, 'copy /a hello')
  t.equal(await done, undefined)
})

t.test('a copy that cannot be sent changes nothing', async (t) => {
  const upstream = await http1Upstream(t, (_, response) => response.end('hello'))
  const { open, done } = mirroring(t, upstream.target, {
    upstreamKey: 'x',
    protocol: 'http1',
    connect: () => Promise.reject(new Error('no')),
  })
  t.match(await talk(open(), 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /hello/)
  t.match(await done, { code: 'connect-failed' })
})

t.test('a copy that does not keep up is given up, and the request goes through', async (t) => {
  const copy = await rawUpstream(t, (socket) => socket.pause())
  const upstream = await http1Upstream(t, async (request, response) => {
    let bytes = 0
    for await (const chunk of request) bytes += (chunk as Buffer).length
    response.end(`<${bytes}>`)
  })
  const { open, done } = mirroring(t, upstream.target, copy.target)
  const size = 32 * 1024 * 1024
  const client = open()
  const answer = talk(
    client,
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\nConnection: close\r\n\r\n`,
  )
  const piece = Buffer.alloc(64 * 1024)
  for (let sent = 0; sent < size; sent += piece.length) client.write(piece)
  t.match(await answer, `<${size}>`)
  t.match(await done, { code: 'overflow' })
})

t.test('a client that goes away in the middle takes the copy with it', async (t) => {
  const begun = Promise.withResolvers<void>()
  const complete = Promise.withResolvers<boolean>()
  const copy = await http1Upstream(t, (request) => {
    begun.resolve()
    request.on('error', () => {}).resume()
    request.once('close', () => complete.resolve(request.complete))
  })
  const upstream = await rawUpstream(t, (socket) => socket.resume())
  const { open, done } = mirroring(t, upstream.target, copy.target)
  const client = open()
  client.write(`${POST}5\r\nhello\r\n`)
  await begun.promise
  client.destroy()
  t.equal(await complete.promise, false)
  t.match(await done, { code: 'client-gone' })
})
