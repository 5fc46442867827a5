import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:http2'
import t from 'tap'
import { HttpUpstreamPool } from './index.ts'
import { engine, http1Upstream, http2Upstream, talk } from './test-support.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

t.test('HTTP/1.1: no more connections than allowed, and those who wait get theirs in turn', async (t) => {
  const upstreams = new HttpUpstreamPool({ maxConnections: 2 })
  const open: ServerResponse[] = []
  const upstream = await http1Upstream(t, (_, response) => {
    open.push(response)
    upstreamEvents.dispatchEvent(new Event('request'))
  })
  const upstreamEvents = new EventTarget()
  const mesh = engine(t, upstream.target, { upstreams })
  const answers = Array.from({ length: 6 }, () => talk(mesh.open(), GET, /hello/))
  for (let answered = 0; answered < 6; answered++) {
    while (open.length === 0) await once(upstreamEvents, 'request')
    t.ok(upstreams.size <= 2)
    open.shift()?.end('hello')
  }
  await Promise.all(answers)
  t.equal(upstream.connections(), 2)
})

t.test('HTTP/1.1: a failed connect does not leave those who wait alone', async (t) => {
  const upstreams = new HttpUpstreamPool({ maxConnections: 1 })
  const upstream = await http1Upstream(t, (_, response) => response.end('hello'))
  let connects = 0
  const target = {
    ...upstream.target,
    connect: () => {
      connects++
      return connects === 1 ? Promise.reject(new Error('no')) : upstream.target.connect()
    },
  }
  const mesh = engine(t, target, { upstreams })
  const answers = await Promise.all([1, 2, 3].map(() => talk(mesh.open(), GET, /hello|503/)))
  t.equal(answers.filter((answer) => answer.includes('hello')).length, 2)
})

t.test('idle connections are closed in time', async (t) => {
  const upstreams = new HttpUpstreamPool({ idleTimeoutMs: 50 })
  for (const upstream of [
    await http1Upstream(t, (_, response) => response.end('hello')),
    await http2Upstream(t, (stream) => {
      stream.respond({ ':status': 200 })
      stream.end('hello')
    }),
  ]) {
    const mesh = engine(t, upstream.target, { upstreams })
    await talk(mesh.open(), GET, /hello/)
    t.equal(upstreams.size, 1)
    const deadline = performance.now() + 10_000
    while (upstreams.size > 0 && performance.now() < deadline) await new Promise(setImmediate)
    t.equal(upstreams.size, 0)
  }
})

t.test('a drain lets requests finish, closes what is idle, and opens nothing', async (t) => {
  const upstreams = new HttpUpstreamPool()
  const held = Promise.withResolvers<ServerResponse>()
  const upstream = await http1Upstream(t, (request, response) => {
    if (request.url === '/hold') held.resolve(response)
    else response.end('hello')
  })
  const mesh = engine(t, upstream.target, { upstreams })
  const answer = talk(mesh.open(), GET.replace('/', '/hold'), /late/)
  const response = await held.promise
  const drained = upstreams.drain()
  t.match(await talk(mesh.open(), GET, /shutting down/), /^HTTP\/1.1 503 /)
  response.end('late')
  t.match(await answer, /late/)
  await drained
  t.equal(upstreams.size, 0)
})

t.test('HTTP/2: a second connection when the first has all the streams that it may', async (t) => {
  let streams = 0
  const all = Promise.withResolvers<void>()
  const finish: (() => void)[] = []
  const upstream = await http2Upstream(t, (stream) => {
    streams++
    stream.respond({ ':status': 200 })
    finish.push(() => stream.end('hello'))
    if (streams === 150) all.resolve()
  })
  upstream.server.updateSettings({ maxConcurrentStreams: 100 })
  const mesh = engine(t, upstream.target, { limits: { maxConcurrentStreams: 200 } })
  const client = connect('http://a', { createConnection: mesh.open })
  t.teardown(() => client.destroy())
  await once(client, 'remoteSettings')
  const answers = Array.from({ length: 150 }, async () => {
    const stream = client.request({}, { endStream: true })
    const ended = once(stream.resume(), 'end')
    await ended
  })
  await all.promise
  for (const each of finish) each()
  await Promise.all(answers)
  t.equal(upstream.connections(), 2)
})

t.test('HTTP/2: a connection that says goodbye takes no new requests, and finishes its own', async (t) => {
  let first: { goaway(): void } | undefined
  const held = Promise.withResolvers<() => void>()
  const upstream = await http2Upstream(t, (stream, headers) => {
    stream.respond({ ':status': 200 })
    if (headers[':path'] === '/hold') {
      first = { goaway: () => stream.session?.goaway() }
      held.resolve(() => stream.end('late'))
    } else stream.end('hello')
  })
  const mesh = engine(t, upstream.target)
  const answer = talk(mesh.open(), GET.replace('/', '/hold'), /late/)
  const release = await held.promise
  first?.goaway()
  const deadline = performance.now() + 10_000
  while (upstream.connections() < 2 && performance.now() < deadline) await talk(mesh.open(), GET, /hello/)
  t.equal(upstream.connections(), 2)
  release()
  t.match(await answer, /late/)
})
