import { createHash } from 'node:crypto'
import { ending, received } from '../application.ts'
import { type Check, expect, notApplicable, pass } from '../check.ts'
import { dataFrame, encodeFrame, errorName, FLAG, FRAME, resetFrame } from '../frames.ts'
import { encodeFields } from '../hpack.ts'
import { describeStream } from '../stream.ts'
import { answer, connectFields, content, openTunnel, request, sendAll } from '../tunnel.ts'

/** Bytes, ends and aborts: the life of one tunnel. */
export const tunnelChecks: readonly Check[] = [
  {
    name: 'tunnel/2-mib',
    title: 'carries 2 MiB there and back unchanged',
    level: 'must',
    standsOn: 'RFC 9113 section 8.5',
    explanation: 'Far more than any window: it only arrives if credit is given back on both sides.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected({ extraCredit: 4_000_000 })
      const stream = await openTunnel(connection, context.authority)
      const bytes = Buffer.alloc(2 * 1024 * 1024)
      for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32BE((at * 2_654_435_761) % 2 ** 32, at)
      await sendAll(connection, stream, bytes, true)
      await connection.until('END_STREAM', () => stream.ended, LARGE_TIMEOUT_MS)
      return expect(hash(content(stream)) === hash(bytes), `${stream.receivedBytes} bytes`)
    },
  },
  {
    name: 'tunnel/end-stream-is-fin',
    title: 'END_STREAM becomes the FIN of TCP, and the answer still comes',
    level: 'must',
    standsOn: 'RFC 9113 section 8.5; Istio: half-close survives',
    explanation:
      'Programs that read to the end of the input before they answer (`ssh`, `nc`, many a database dump) work no other way.',
    needs: ['authority', 'application'],
    run: async (context) => {
      const connection = await context.connected()
      const { stream, app } = await context.pair(connection)
      connection.write(dataFrame(stream.id, Buffer.from('question'), true))
      const question = String(await received(app))
      app.socket.end('answer')
      await connection.until('END_STREAM', () => stream.ended)
      return expect(question === 'question' && String(content(stream)) === 'answer', describeStream(stream))
    },
  },
  {
    name: 'tunnel/fin-is-end-stream',
    title: "the application's FIN becomes END_STREAM, with all bytes before it",
    level: 'must',
    standsOn: 'RFC 9113 section 8.5',
    explanation: 'A reset in its place looks like an error, and may overtake the last bytes.',
    needs: ['authority', 'application'],
    run: async (context) => {
      const connection = await context.connected()
      const { stream, app } = await context.pair(connection)
      app.socket.end(Buffer.alloc(50_000, 3))
      await connection.until('END_STREAM', () => stream.ended)
      return expect(stream.receivedBytes === 50_000, describeStream(stream))
    },
  },
  {
    name: 'tunnel/half-close-by-the-application',
    title: 'carries what the client sends after the application has ended its half',
    level: 'should',
    standsOn: 'RFC 9113 section 8.5: a half-closed TCP connection; ztunnel: the two halves end apart',
    explanation:
      'TCP allows it, and some protocols use it: the server says that it is done, the client goes on.',
    needs: ['authority', 'application'],
    run: async (context) => {
      const connection = await context.connected()
      const { stream, app } = await context.pair(connection)
      app.socket.end('done')
      await connection.until('END_STREAM', () => stream.ended)
      connection.write(dataFrame(stream.id, Buffer.from('late'), true))
      const late = received(app)
      await connection.wait(() => stream.reset !== undefined, RESET_WAIT_MS)
      return expect(String(await late) === 'late', describeStream(stream))
    },
  },
  {
    name: 'tunnel/reset-by-the-client',
    title: "RST_STREAM ends the application's connection",
    level: 'must',
    standsOn: 'RFC 9113 section 8.5; ztunnel: FIN, whatever the code',
    explanation: 'Otherwise the application serves a client that is long gone.',
    needs: ['authority', 'application'],
    run: async (context) => {
      const connection = await context.connected()
      const { stream, app } = await context.pair(connection)
      connection.write(resetFrame(stream.id, 'CANCEL'))
      const end = await ending(app)
      return expect(end !== 'still open', `the application sees: ${end}`)
    },
  },
  {
    name: 'tunnel/reset-by-the-application',
    title: 'a TCP reset of the application ends the stream, and no other',
    level: 'must',
    standsOn: 'RFC 9113 section 8.5 (CONNECT_ERROR); ztunnel: END_STREAM',
    explanation: 'The client must learn that nothing more will come.',
    needs: ['authority', 'application'],
    run: async (context) => {
      const connection = await context.connected()
      const other = await openTunnel(connection, context.authority)
      const { stream, app } = await context.pair(connection)
      app.socket.resetAndDestroy()
      await connection.until('the end of the stream', () => stream.ended || stream.reset !== undefined)
      connection.write(dataFrame(other.id, Buffer.from('still here')))
      await connection.until('echo on the other stream', () => other.receivedBytes >= 10)
      return pass(describeStream(stream))
    },
  },
  {
    name: 'tunnel/connection-lost',
    title: "the end of the client's TCP connection ends the application's",
    level: 'must',
    standsOn: 'RFC 9113 section 8.5; ztunnel: FIN',
    explanation: 'A node that dies takes all its tunnels along, without a frame.',
    needs: ['authority', 'application'],
    run: async (context) => {
      const connection = await context.connected()
      const { app } = await context.pair(connection)
      connection.socket.destroy()
      const end = await ending(app)
      return expect(end !== 'still open', `the application sees: ${end}`)
    },
  },
  {
    name: 'tunnel/data-before-200',
    title: 'keeps DATA that comes before its 200',
    level: 'must',
    standsOn: 'ztunnel: early DATA waits within the window; RFC 9113 section 8.5',
    explanation: 'A client in a hurry saves a round trip. What is dropped here is lost for good.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const stream = request(connection, connectFields(context.authority))
      connection.write(dataFrame(stream.id, Buffer.from('early')))
      await answer(connection, stream)
      connection.write(dataFrame(stream.id, Buffer.from(' and late'), true))
      await connection.until('END_STREAM', () => stream.ended || stream.reset !== undefined)
      return expect(String(content(stream)) === 'early and late', describeStream(stream))
    },
  },
  {
    name: 'tunnel/end-stream-with-headers',
    title: 'a CONNECT that ends its half at once is served',
    level: 'should',
    standsOn: 'RFC 9113 section 8.5; the client half closes before it has sent a byte',
    explanation: 'A program that only listens (`nc -d`) ends its half first.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const stream = request(connection, connectFields(context.authority), { endStream: true })
      await connection.until('the answer', () => stream.status !== undefined || stream.reset !== undefined)
      await connection.until('the end', () => stream.ended || stream.reset !== undefined)
      return expect(stream.status === 200 && stream.ended, describeStream(stream))
    },
  },
  {
    name: 'tunnel/empty-data',
    title: 'passes over empty DATA frames',
    level: 'must',
    standsOn: 'RFC 9113 section 6.1; ztunnel skips them',
    explanation: 'An empty frame is no end; only END_STREAM is.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const stream = await openTunnel(connection, context.authority)
      const empty = dataFrame(stream.id, Buffer.alloc(0))
      connection.write(empty, dataFrame(stream.id, Buffer.from('one')), empty)
      await connection.until('echo', () => stream.receivedBytes >= 3)
      connection.write(dataFrame(stream.id, Buffer.alloc(0), true))
      await connection.until('END_STREAM', () => stream.ended)
      return expect(String(content(stream)) === 'one', describeStream(stream))
    },
  },
  {
    name: 'tunnel/empty-data-twice',
    title: 'passes over two empty DATA frames in a row',
    level: 'should',
    standsOn:
      'RFC 9113 section 6.1; Envoy ends the connection (max_consecutive_inbound_frames_with_empty_payload: 1)',
    explanation: 'It is legal, and strange. Envoy takes it for the beginning of a flood.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const stream = await openTunnel(connection, context.authority)
      const empty = dataFrame(stream.id, Buffer.alloc(0))
      connection.write(empty, empty, empty, dataFrame(stream.id, Buffer.from('one'), true))
      await connection.until('echo', () => stream.ended || stream.reset !== undefined)
      return expect(String(content(stream)) === 'one', describeStream(stream))
    },
  },
  {
    name: 'tunnel/padded-data',
    title: 'takes the padding off DATA, and counts it in the window',
    level: 'must',
    standsOn: 'RFC 9113 sections 6.1 and 6.9.1',
    explanation: "Padding that comes out at the application would be in the middle of somebody's file.",
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const stream = await openTunnel(connection, context.authority)
      const payload = Buffer.concat([Buffer.from([200]), Buffer.from('text'), Buffer.alloc(200, 0x2a)])
      const padded = encodeFrame({ type: FRAME.DATA, flags: FLAG.PADDED, streamId: stream.id, payload })
      connection.write(padded, dataFrame(stream.id, Buffer.alloc(0), true))
      await connection.until('END_STREAM', () => stream.ended)
      return expect(String(content(stream)) === 'text', `${describeStream(stream)}`)
    },
  },
  {
    name: 'tunnel/data-after-end-stream',
    title: 'refuses DATA after END_STREAM',
    level: 'must',
    standsOn: 'RFC 9113 section 5.1, half-closed (remote): STREAM_CLOSED',
    explanation: 'What comes after the end must not come out at the application, or at another one.',
    needs: ['authority', 'application'],
    run: async (context) => {
      const connection = await context.connected()
      const { stream, app } = await context.pair(connection)
      connection.write(
        dataFrame(stream.id, Buffer.from('all'), true),
        dataFrame(stream.id, Buffer.from('more')),
      )
      const text = String(await received(app))
      const isError = await connection.wait(
        () => stream.reset !== undefined || connection.goaways.length > 0 || connection.ended !== undefined,
      )
      const how =
        stream.reset === undefined ? connection.describeEnd() : `RST_STREAM(${errorName(stream.reset)})`
      // Cut off by the error, the application may have got less, never more.
      return expect('all'.startsWith(text) && isError === true, `the application got "${text}"; ${how}`)
    },
  },
  {
    name: 'tunnel/headers-in-the-tunnel',
    title: 'refuses HEADERS on an open tunnel',
    level: 'should',
    standsOn: 'RFC 9113 section 8.5: frames other than DATA and stream management must be a stream error',
    explanation: 'TCP has no place for trailers. Most HTTP libraries read them nonetheless, and drop them.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const stream = await openTunnel(connection, context.authority)
      const flags = FLAG.END_HEADERS | FLAG.END_STREAM
      const payload = encodeFields([['x-trailer', '1']])
      connection.write(encodeFrame({ type: FRAME.HEADERS, flags, streamId: stream.id, payload }))
      await connection.until('the end', () => stream.ended || stream.reset !== undefined)
      return expect((stream.reset ?? 0) !== 0, describeStream(stream))
    },
  },
  {
    name: 'tunnel/server-speaks-first',
    title: 'carries what the application says first',
    level: 'must',
    standsOn: 'RFC 9113 section 8.5',
    explanation: 'SMTP, SSH and MySQL servers greet; their clients wait for it.',
    needs: ['authority', 'application'],
    run: async (context) => {
      const connection = await context.connected()
      const { stream, app } = await context.pair(connection)
      if (stream.receivedBytes > 0) return notApplicable('something else answers at the authority')
      app.socket.write('220 ready')
      await connection.until('the greeting', () => stream.receivedBytes >= 9)
      return expect(String(content(stream)) === '220 ready', describeStream(stream))
    },
  },
]

function hash(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** For what needs many round trips on a busy machine, milliseconds. */
const LARGE_TIMEOUT_MS = 30_000
/** A reset that overtakes comes at once, milliseconds. */
const RESET_WAIT_MS = 500
