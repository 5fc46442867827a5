// What else is spoken through two ztunnels and a waypoint: gRPC, WebSocket,
// TCP whose server speaks first; and what the waypoint refuses to serve.
import '../support/own-namespaces.ts'
import { once } from 'node:events'
import { connect, constants, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { connectIn } from '../../src/lab/http-probe.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'

t.setTimeout(120_000)

const MESH = join(import.meta.dirname, '../support/waypoint-replicas')
const VIP = '10.96.0.10'

t.test('through the waypoint', async (t) => {
  await using lab = await startLab({ manifests: MESH })
  const client = lab.network.namespace('app.client')
  const requests = (path: string) => lab.journal.requests.filter((line) => line.path.startsWith(path))

  await t.test('gRPC: messages both ways, the status in trailers', async (t) => {
    const servers = ['app.v1', 'app.v2'].map((name) => {
      const server = grpcEcho()
      lab.network.namespace(name).run(() => void server.listen(7000))
      return server
    })
    t.teardown(() => servers.forEach((server) => void server.close()))
    await Promise.all(servers.map((server) => (server.listening ? undefined : once(server, 'listening'))))
    const session = connect(`http://${VIP}:7000`, { createConnection: () => connectIn(client, VIP, 7000) })
    t.teardown(() => session.close())
    const call = session.request({
      ':method': 'POST',
      ':path': '/lab.Echo/Both',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const trailers = once(call, 'trailers')
    const [head] = await once(call, 'response')
    t.equal(head[':status'], 200)
    const message = Buffer.from([0, 0, 0, 0, 3, 1, 2, 3])
    for (let sent = 0; sent < 3; sent += 1) {
      call.write(message)
      const [echoed] = await once(call, 'data')
      t.same(echoed, message, 'an answer while the request is open')
    }
    call.end()
    call.resume()
    t.equal((await trailers)[0]['grpc-status'], '0')
    await until(() => requests('/lab.Echo').length === 1, 'the line')
    t.match(requests('/lab.Echo'), [{ status: 200, sourceWorkload: 'app/client' }])
  })

  await t.test('WebSocket: the switch, and bytes both ways behind it', async (t) => {
    const socket = connectIn(client, VIP, 80)
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    const hello = ['GET /chat HTTP/1.1', 'Host: server', 'Connection: Upgrade', 'Upgrade: websocket']
    socket.write(
      `${[...hello, 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='].join('\r\n')}\r\n\r\n`,
    )
    let seen = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      seen += chunk
    })
    await until(() => seen.includes('\r\n\r\n'), 'the answer')
    t.match(seen, /^HTTP\/1\.1 101 /)
    for (const frame of ['first', 'second']) {
      socket.write(frame)
      await until(() => seen.endsWith(frame), frame)
    }
    socket.destroy()
    await until(() => requests('/chat').length === 1, 'the line')
    t.equal(requests('/chat')[0]?.status, 101)
  })

  await t.test('a server that speaks first is heard, though the client says nothing', async (t) => {
    for (const port of [9000, 9001]) {
      const socket = connectIn(client, VIP, port)
      const [greeting] = await once(socket, 'data')
      t.match(String(greeting), /^220 app\/v[12] ready/, `port ${port}`)
      socket.destroy()
    }
  })

  await t.test('plaintext to 15008 is not served', async (t) => {
    const socket = connectIn(lab.network.namespace('plain.client'), '10.244.3.10', 15008)
    await once(socket, 'connect')
    let answer = ''
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nHost: server\r\n\r\n')
    const late = setTimeout(15_000, 'late', { ref: false })
    t.not(await Promise.race([once(socket, 'close'), late]), 'late', 'it is closed')
    t.notMatch(answer, /HTTP/)
  })
})

/** Answers each message with itself, and ends with a status. */
function grpcEcho(): Http2Server {
  const server = createServer()
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => stream.close(constants.NGHTTP2_CANCEL))
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.on('data', (chunk: Buffer) => stream.write(chunk))
    stream.on('end', () => stream.end())
  })
  return server
}
