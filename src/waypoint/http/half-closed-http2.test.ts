import { once } from 'node:events'
import { connect, createServer } from 'node:http2'
import { type Duplex, duplexPair } from 'node:stream'
import t from 'tap'
import { goawayFrame } from '../../conformance/frames.ts'
import { RawHttp2Client, REQUEST } from './http2-test-support.ts'
import { engine, http2Upstream, rawUpstream } from './test-support.ts'

t.test('a client that ends its side of a tunnel of HTTP/2 ends its requests, and nothing else', async (t) => {
  const upstream = await rawUpstream(t, (socket) => socket.resume())
  const { open, nextResult } = engine(t, upstream.target)
  for (let count = 0; count < 30; count++) {
    const tunnel = open()
    const client = new RawHttp2Client(tunnel)
    client.headers(1, REQUEST)
    client.headers(3, REQUEST)
    while (upstream.connections() < 2 * (count + 1)) await new Promise(setImmediate)
    tunnel.end()
    t.match(await nextResult(), { flags: ['DC'] })
    t.match(await nextResult(), { flags: ['DC'] })
  }
})

t.test('a client that says goodbye, ends and reads no more while a request is under way', async (t) => {
  let finish = (): void => {}
  const upstream = await http2Upstream(t, (stream) => {
    stream.respond({ ':status': 200 })
    stream.write('hello')
    finish = () => stream.end()
  })
  const { open, nextResult, served } = engine(t, upstream.target)
  const tunnel = open()
  const client = new RawHttp2Client(tunnel)
  client.headers(1, REQUEST)
  await client.fate(1)
  tunnel.pause()
  client.write(goawayFrame(0, 'NO_ERROR'))
  tunnel.end()
  const result = nextResult()
  // Node would end its side now, and wait for the client to read that.
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  finish()
  t.match(await result, { flags: ['DC'] })
  // Whoever reads no more cannot hold a tunnel.
  await Promise.all(served)
})

t.test('a session of a client that is destroyed while an answer is under way', async (t) => {
  const upstream = await http2Upstream(t, (stream) => {
    stream.respond({ ':status': 200 })
    stream.write(Buffer.alloc(100_000))
  })
  const { open, nextResult } = engine(t, upstream.target)
  for (let count = 0; count < 30; count++) {
    const client = connect('http://a', { createConnection: open })
    const stream = client.request({}, { endStream: true })
    stream.on('error', () => {})
    await once(stream, 'data')
    client.destroy()
    t.match(await nextResult(), { flags: ['DC'] })
  }
})

t.test('an upstream that ends a connection with requests under way: 503 and UC', async (t) => {
  const server = createServer()
  server.on('sessionError', () => {})
  const ends: Duplex[] = []
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    for (const end of ends.splice(0)) end.end()
  })
  const target = {
    upstreamKey: 'x',
    protocol: 'http2' as const,
    connect: async (): Promise<Duplex> => {
      const [ours, theirs] = duplexPair()
      theirs.on('error', () => {})
      ends.push(theirs)
      server.emit('connection', theirs)
      return ours
    },
  }
  const { open, nextResult } = engine(t, target)
  for (let count = 0; count < 30; count++) {
    const client = new RawHttp2Client(open())
    client.headers(1, REQUEST)
    t.match(await nextResult(), { status: 503, flags: ['UC'] })
  }
})

t.test('an upstream that answers early, and a request that goes on: many times over', async (t) => {
  const upstream = await http2Upstream(t, (stream) => {
    stream.respond({ ':status': 403 })
    stream.end('no')
  })
  const { open } = engine(t, upstream.target)
  const client = connect('http://a', { createConnection: open })
  t.teardown(() => client.destroy())
  for (let count = 0; count < 100; count++) {
    const stream = client.request({ ':method': 'POST' }, { endStream: false, waitForTrailers: true })
    stream.on('error', () => {})
    stream.write('hello')
    const [headers] = await once(stream, 'response')
    t.equal(headers[':status'], 403)
    stream.resume()
    await once(stream, 'close')
  }
})
