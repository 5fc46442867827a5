import { once } from 'node:events'
import { performServerHandshake, type ServerHttp2Session } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { createServer } from 'node:tls'
import t from 'tap'
import { dialHbone } from './client.ts'
import { createMesh, eventually, REQUEST, SERVER, serveHbone } from './test-support.ts'

// What peers that are not ours see of us; the values are ztunnel's.
t.test('what a server sees of a client', async (t) => {
  const mesh = await createMesh()
  const server = await mesh.issue('server')
  const listener = createServer({ ...server.serverOptions(), requestCert: true, ALPNProtocols: ['h2'] })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => listener.close())
  const seen = once(listener, 'secureConnection').then(async ([tls]) => {
    t.equal(tls.servername, false, 'no SNI')
    t.equal(tls.alpnProtocol, 'h2')
    t.equal(tls.getProtocol(), 'TLSv1.3')
    t.equal(tls.authorized, true)
    const session: ServerHttp2Session = performServerHandshake(tls)
    await once(session, 'remoteSettings')
    t.match(session.remoteSettings, {
      enablePush: false,
      initialWindowSize: 4 * 1024 * 1024,
      maxFrameSize: 1024 * 1024,
      maxHeaderListSize: 16_384,
    })
    const [stream, headers] = await once(session, 'stream')
    t.same(Object.keys(headers).sort(), [':authority', ':method', 'baggage'])
    t.equal(session.state.remoteWindowSize, 16 * 1024 * 1024, 'connection window')
    stream.respond({ ':status': 200, baggage: 'service.name=web' })
    return session
  })
  const { port } = listener.address() as AddressInfo
  const connection = await dialHbone({
    socket: connect({ port, host: '127.0.0.1', allowHalfOpen: true }),
    svid: await mesh.issue('client'),
    expectedIdentities: [SERVER],
  })
  const tunnel = await connection.request({ ...REQUEST, headers: { baggage: '' } })
  t.same(tunnel.headers, { baggage: 'service.name=web' })
  t.equal(tunnel.peerIdentity, SERVER)
  t.match(tunnel.connection, { peer: { address: '127.0.0.1', port } })
  await seen
  connection.close()
  await connection.closed
})

t.test('what a client sees of a server', async (t) => {
  const mesh = await createMesh()
  const { port } = await serveHbone(t, await mesh.issue('server'), (request) => {
    t.match(request, {
      method: 'CONNECT',
      authority: { host: 'fd00::1', port: 443 },
      headers: { baggage: 'service.name=a', forwarded: 'for="10.0.0.1:1"', xForwardedNetwork: 'n1' },
      peer: { address: '127.0.0.1', identity: { serviceAccount: 'client' } },
      local: { address: '127.0.0.1', port },
    })
    request.accept()
  })
  const connection = await dialHbone({
    socket: connect({ port, host: '127.0.0.1', allowHalfOpen: true }),
    svid: await mesh.issue('client'),
    expectedIdentities: [SERVER],
  })
  const headers = { baggage: 'service.name=a', forwarded: 'for="10.0.0.1:1"', 'x-forwarded-network': 'n1' }
  const { tunnel } = await connection.request({ authority: '[fd00::1]:443', headers })
  t.match(tunnel.session.remoteSettings, {
    initialWindowSize: 4 * 1024 * 1024,
    maxFrameSize: 1024 * 1024,
    maxHeaderListSize: 65_536,
    maxConcurrentStreams: 200,
  })
  await eventually('connection window', () => tunnel.session.sendWindow === 16 * 1024 * 1024)
  connection.close()
  await connection.closed
})
