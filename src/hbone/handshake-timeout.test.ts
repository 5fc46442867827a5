import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import {
  createMesh,
  createPool,
  eventually,
  listenTcp,
  REQUEST,
  serveHbone,
  targetOf,
} from './test-support.ts'

t.test('a client that says nothing', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), () => {}, { handshakeTimeoutMs: 50 })
  const socket = connect(served.port, '127.0.0.1')
  socket.resume()
  await once(socket, 'close')
  await eventually('it was reported', () => served.errors.length === 1)
  t.equal(served.errors[0]?.error.code, 'handshake-timeout')
})

t.test('a client that speaks something else', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), () => {})
  const socket = connect(served.port, '127.0.0.1')
  socket.resume().on('error', () => {})
  socket.write('GET / HTTP/1.1\r\n\r\n')
  await once(socket, 'close')
  await eventually('it was reported', () => served.errors.length === 1)
  t.match(served.errors[0]?.error, { code: 'tls', message: 'tls handshake error: http request' })
})

t.test('a client that resets', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), () => {})
  const socket = connect(served.port, '127.0.0.1')
  await once(socket, 'connect')
  await eventually('accepted', () => served.sockets.length === 1)
  socket.resetAndDestroy()
  await eventually('it was reported', () => served.errors.length === 1)
  t.equal(served.errors[0]?.error.code, 'tls')
})

t.test('a server that says nothing', async (t) => {
  const client = await (await createMesh()).issue('client')
  const { port } = await listenTcp(t, () => {})
  const pool = createPool(t, { settings: { handshakeTimeoutMs: 50 } })
  await t.rejects(pool.open(targetOf(port, client), REQUEST), { code: 'handshake-timeout' })
})

t.test('a server that never answers a CONNECT', async (t) => {
  const mesh = await createMesh()
  const closed: number[] = []
  const served = await serveHbone(t, await mesh.issue('server'), ({ tunnel }) => {
    tunnel.whenClosed(() => closed.push(tunnel.resetCode ?? -1))
  })
  const pool = createPool(t, { settings: { responseTimeoutMs: 50 } })
  await t.rejects(pool.open(targetOf(served.port, await mesh.issue('client')), REQUEST), {
    code: 'response-timeout',
  })
  await eventually('the stream was cancelled', () => closed.length === 1)
  t.same(closed, [8])
})
