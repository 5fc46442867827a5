import { once } from 'node:events'
import { performServerHandshake } from 'node:http2'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import t from 'tap'
import { createMesh, createPool, eventually, REQUEST, targetOf } from './test-support.ts'

// Node destroys a session whose TLS breaks, but emits neither 'error' nor 'close' on it.
t.test('a connection whose TLS breaks in mid-life is let go', async (t) => {
  const mesh = await createMesh()
  const raw: Socket[] = []
  const tlsServer = createTlsServer({
    ...(await mesh.issue('server')).serverOptions(),
    requestCert: true,
    ALPNProtocols: ['h2'],
  })
  tlsServer.on('secureConnection', (socket) => {
    socket.on('error', () => {})
    const session = performServerHandshake(socket)
    session.on('error', () => {})
    session.on('stream', (stream) => {
      stream.on('error', () => {})
      stream.respond({ ':status': 200 })
    })
  })
  // Between the two, to send the server what does not decrypt: it answers with an alert.
  const relay = createServer(async (near) => {
    near.pause().on('error', () => {})
    const far = connect(backend, '127.0.0.1').on('error', () => {})
    await once(far, 'connect')
    near.pipe(far)
    far.pipe(near)
    raw.push(near, far)
  })
  const ports = [tlsServer, relay].map(async (server) => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  })
  const [backend = 0, port = 0] = await Promise.all(ports)
  t.teardown(() => {
    for (const server of [tlsServer, relay]) server.close()
    for (const socket of raw) socket.destroy()
  })
  const sockets: Socket[] = []
  const pool = createPool(t, {
    connect: (target) => {
      const socket = connect({ host: target.address, port: target.port, allowHalfOpen: true })
      sockets.push(socket)
      return socket
    },
  })
  const { stream } = await pool.open(targetOf(port, await mesh.issue('client')), REQUEST)
  raw[1]?.write(Buffer.concat([Buffer.from([0x17, 3, 3, 0, 64]), Buffer.alloc(64)]))
  await eventually('the stream is gone', () => stream.destroyed)
  await eventually('the socket is gone', () => sockets[0]?.destroyed === true)
  await eventually('the pool forgot it', () => pool.dump().length === 0)
})
