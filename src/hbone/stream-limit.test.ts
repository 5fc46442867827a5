import type { Duplex } from 'node:stream'
import t from 'tap'
import { createMesh, createPool, eventually, REQUEST, serveHbone, targetOf } from './test-support.ts'

t.test('the 101st stream opens a second connection; freed streams are used again', async (t) => {
  const mesh = await createMesh()
  const target = async () => targetOf(served.port, client)
  const client = await mesh.issue('client')
  const accepted: Duplex[] = []
  const served = await serveHbone(t, await mesh.issue('server'), (request) => accepted.push(request.accept()))
  const pool = createPool(t)
  const open = async () => pool.open(await target(), REQUEST)
  const streams = await Promise.all(Array.from({ length: 100 }, open))
  t.equal(served.sockets.length, 1, 'a hundred share one')
  await open()
  t.equal(served.sockets.length, 2)
  // Unlike in ztunnel, a connection that was full once is used again.
  streams[0]?.stream.destroy()
  await eventually('a slot is free', () => pool.dump().some(({ streams }) => streams === 99))
  await open()
  t.equal(served.sockets.length, 2)
  t.same(
    pool.dump().map(({ streams }) => streams),
    [100, 1],
  )
})

t.test('a burst of 250 makes three connections', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const pool = createPool(t)
  await Promise.all(Array.from({ length: 250 }, () => pool.open(targetOf(served.port, client), REQUEST)))
  t.equal(served.sockets.length, 3)
})

t.test("the peer's own limit counts too", async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept(), {
    settings: { maxConcurrentStreams: 3 },
  })
  const pool = createPool(t)
  await Promise.all(Array.from({ length: 7 }, () => pool.open(targetOf(served.port, client), REQUEST)))
  t.equal(served.sockets.length, 3)
})

t.test('a peer that allows no stream at all is an error, not a loop', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept(), {
    settings: { maxConcurrentStreams: 0 },
  })
  const pool = createPool(t)
  await t.rejects(pool.open(targetOf(served.port, client), REQUEST), { code: 'http2' })
  t.equal(served.sockets.length, 1)
})
