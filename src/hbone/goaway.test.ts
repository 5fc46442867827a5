import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import t from 'tap'
import {
  createMesh,
  createPool,
  eventually,
  REQUEST,
  received,
  serveHbone,
  targetOf,
} from './test-support.ts'

t.test('a draining server: old streams finish, new ones go elsewhere', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const accepted: Duplex[] = []
  const old = await serveHbone(t, await mesh.issue('server'), (request) => accepted.push(request.accept()))
  const pool = createPool(t)
  const { stream } = await pool.open(targetOf(old.port, client), REQUEST)
  const drained = old.hbone.drain()
  let over = false
  void drained.then(() => {
    over = true
  })
  await eventually('the pool has heard', () => pool.dump()[0]?.state === 'draining')
  t.equal(old.hbone.sessions()[0]?.state, 'draining')
  await t.rejects(pool.open(targetOf(old.port, client), REQUEST), { code: 'tls' }, 'no new connection either')
  const [app] = accepted
  const heard = app === undefined ? undefined : received(app)
  const answer = received(stream)
  stream.end('last question')
  t.equal(String(await heard), 'last question')
  t.equal(over, false, 'waits for the stream')
  app?.end('last answer')
  t.equal(String(await answer), 'last answer')
  await drained
  t.same(old.hbone.sessions(), [])
  await eventually('the pool is empty', () => pool.dump().length === 0)
})

t.test('GOAWAY with an error is an error of the streams', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    request.accept().once('data', () => request.tunnel.session.goaway(2))
  })
  const pool = createPool(t)
  const { stream } = await pool.open(targetOf(served.port, await mesh.issue('client')), REQUEST)
  stream.write('x')
  const [error] = await once(stream, 'error')
  t.match(error, { code: 'goaway', h2Code: 2 })
  await eventually('the pool is empty', () => pool.dump().length === 0)
})

t.test('a draining pool: GOAWAY to the peer when the last stream has ended', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    const app = request.accept()
    app.resume().once('end', () => app.end('bye'))
  })
  const pool = createPool(t)
  const { stream } = await pool.open(targetOf(served.port, client), REQUEST)
  const drained = pool.drain()
  await t.rejects(pool.open(targetOf(served.port, client), REQUEST), {
    code: 'pool-draining',
    message: 'pool draining',
  })
  const answer = received(stream)
  stream.end()
  t.equal(String(await answer), 'bye')
  await drained
  await eventually('the server has closed it', () => served.hbone.sessions().length === 0)
  t.same(served.errors, [])
})

t.test(
  'a server that drains during the handshake: who connected before is not cut, and dials once more',
  async (t) => {
    const mesh = await createMesh()
    const client = await mesh.issue('client')
    const server = await mesh.issue('server')
    const old = await serveHbone(t, server, (request) => request.refuse(503))
    const young = await serveHbone(t, server, (request) => void request.accept().end('from the new process'))
    const dials: number[] = []
    const pool = createPool(t, {
      connect: () => {
        const port = dials.length === 0 ? old.port : young.port
        dials.push(port)
        return connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      },
    })
    const opening = pool.open(targetOf(old.port, client), REQUEST)
    await eventually('the old process has the connection', () => old.sockets.length === 1)
    const drained = old.hbone.drain()
    const { stream } = await opening
    t.equal(String(await received(stream)), 'from the new process')
    t.same(dials, [old.port, young.port])
    await drained
    t.same(old.errors, [], 'the handshake was not broken off')
  },
)
