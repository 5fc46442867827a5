import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { type Duplex, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { engine, http1Upstream, http2Upstream, rawUpstream } from './test-support.ts'

const PIECE = randomBytes(64 * 1024)
const PIECES = 1024

/** 64 MiB, made while they are read. */
function* body(): Generator<Buffer> {
  for (let index = 0; index < PIECES; index++) yield PIECE
}

const SUM = sumOf(body())

t.test('64 MiB both ways, HTTP/1.1 to HTTP/1.1', async (t) => {
  const upstream = await http1Upstream(t, async (incoming, response) => {
    await pipeline(incoming, response)
  })
  const { open, nextResult } = engine(t, upstream.target)
  t.equal(await throughHttp1(open()), SUM)
  t.match(await nextResult(), { requestBytes: PIECES * PIECE.length, responseBytes: PIECES * PIECE.length })
})

t.test('64 MiB both ways, HTTP/2 to HTTP/2', async (t) => {
  const upstream = await http2Upstream(t, (stream) => {
    stream.respond({ ':status': 200 })
    stream.pipe(stream)
  })
  t.equal(await throughHttp2(engine(t, upstream.target).open()), SUM)
})

t.test('a client that does not read holds up the upstream', async (t) => {
  const stuck = Promise.withResolvers<number>()
  const upstream = await rawUpstream(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      for (const piece of body()) socket.write(piece)
      // What Node still holds is what the kernel did not take.
      let before = socket.writableLength
      const check = setInterval(() => {
        if (socket.writableLength === before) stuck.resolve(before)
        before = socket.writableLength
      }, 200)
      t.teardown(() => clearInterval(check))
    })
  })
  const { open } = engine(t, upstream.target)
  open().write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  t.ok((await stuck.promise) > 32 * 1024 * 1024)
})

async function throughHttp1(tunnel: Duplex): Promise<string> {
  const message = request({ method: 'POST', createConnection: () => tunnel as never, headers: { host: 'a' } })
  const answered = once(message, 'response')
  const sent = pipeline(Readable.from(body()), message)
  const [answer] = (await answered) as [Readable]
  const [sum] = await Promise.all([sumOf(answer), sent])
  return sum
}

async function throughHttp2(tunnel: Duplex): Promise<string> {
  const client = connectHttp2('http://a', { createConnection: () => tunnel })
  const stream = client.request({ ':method': 'POST' })
  const answered = once(stream, 'response') as Promise<[IncomingHttpHeaders]>
  const hash = createHash('sha256')
  stream.on('data', (chunk: Buffer) => hash.update(chunk))
  const ended = once(stream, 'end')
  Readable.from(body()).pipe(stream)
  await answered
  await ended
  client.close()
  return hash.digest('hex')
}

function sumOf(chunks: Iterable<Buffer>): string
function sumOf(chunks: AsyncIterable<Buffer>): Promise<string>
function sumOf(chunks: Iterable<Buffer> | AsyncIterable<Buffer>): string | Promise<string> {
  const hash = createHash('sha256')
  if (Symbol.asyncIterator in chunks)
    return (async () => {
      for await (const chunk of chunks) hash.update(chunk)
      return hash.digest('hex')
    })()
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}
