import { once } from 'node:events'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { Http2Connection } from '../conformance/connection.ts'
import { dataFrame, encodeFrame, errorCode, FLAG, FRAME } from '../conformance/frames.ts'
import { encodeFields } from '../conformance/hpack.ts'
import { openTunnel } from '../conformance/tunnel.ts'
import { createMesh, forwardTo, listenTcp, received, serveHbone } from './test-support.ts'

// RFC 9113 section 8.5: on an open tunnel nothing but DATA and the frames that manage the stream.
t.test(
  'header fields in the middle of a tunnel are a stream error, and end it at the application',
  async (t) => {
    const mesh = await createMesh()
    const seen = Promise.withResolvers<Buffer>()
    const app = await listenTcp(t, (socket) => void received(socket).then(seen.resolve))
    const { port } = await serveHbone(t, await mesh.issue('server'), forwardTo(app.port))
    const client = await mesh.issue('client')
    const tls = connectTls({
      port,
      host: '127.0.0.1',
      secureContext: client.clientContext(),
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    })
    await once(tls, 'secureConnect')
    const connection = new Http2Connection(tls)
    t.teardown(() => connection.destroy())
    const stream = await openTunnel(connection, `127.0.0.1:${app.port}`)
    const flags = FLAG.END_HEADERS | FLAG.END_STREAM
    const payload = encodeFields([['x-trailer', '1']])
    connection.write(
      dataFrame(stream.id, Buffer.from('all')),
      encodeFrame({ type: FRAME.HEADERS, flags, streamId: stream.id, payload }),
    )
    await connection.until('the reset', () => stream.reset !== undefined)
    t.equal(stream.reset, errorCode('PROTOCOL_ERROR'))
    t.ok('all'.startsWith(String(await seen.promise)), 'the application has lost its client')
    t.ok(await connection.roundTrip(), 'other tunnels go on')
  },
)
