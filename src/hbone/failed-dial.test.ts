import { once } from 'node:events'
import { type AddressInfo, connect, createServer, Socket } from 'node:net'
import t from 'tap'
import { createMesh, createPool, REQUEST, serveHbone, targetOf } from './test-support.ts'

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

t.test('one refused dial fails all that wait for it', async (t) => {
  const client = await (await createMesh()).issue('client')
  const port = await closedPort()
  let dials = 0
  const pool = createPool(t, {
    connect: (target) => {
      dials++
      return connect({ host: target.address, port: target.port })
    },
  })
  const opened = Array.from({ length: 20 }, () => pool.open(targetOf(port, client), REQUEST))
  for (const { status, reason } of (await Promise.allSettled(opened)) as PromiseRejectedResult[]) {
    t.equal(status, 'rejected')
    t.match(reason, { code: 'connect-failed', message: /^io error: connect ECONNREFUSED/ })
  }
  t.equal(dials, 1)
  t.same(pool.dump(), [])
})

t.test('a black hole fails all at once, with a hint', async (t) => {
  const client = await (await createMesh()).issue('client')
  // Never connected, as when SYNs are dropped.
  const pool = createPool(t, { connect: () => new Socket(), settings: { connectTimeoutMs: 50 } })
  const opened = Array.from({ length: 3 }, () => pool.open(targetOf(9, client), REQUEST))
  for (const { reason } of (await Promise.allSettled(opened)) as PromiseRejectedResult[]) {
    t.match(reason, {
      code: 'connect-timeout',
      message: /^connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: /,
    })
  }
})

t.test('a socket that cannot be opened is reported', async (t) => {
  const client = await (await createMesh()).issue('client')
  const pool = createPool(t, {
    connect: () => {
      throw new Error('too many open files')
    },
  })
  await t.rejects(pool.open(targetOf(9, client), REQUEST), {
    code: 'connect-failed',
    message: 'io error: too many open files',
  })
})

t.test('who waits can give up, and the others still get their connection', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const pool = createPool(t)
  const impatient = new AbortController()
  const given = pool.open(targetOf(served.port, client), REQUEST, impatient.signal)
  const patient = pool.open(targetOf(served.port, client), REQUEST)
  impatient.abort(new Error('lost interest'))
  await t.rejects(given, { message: 'lost interest' })
  await patient
  t.equal(served.sockets.length, 1)
})

t.test('when all give up the dial is given up, and the next one starts anew', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const sockets: Socket[] = []
  let blackHole = true
  const pool = createPool(t, {
    connect: ({ address, port }) => {
      const socket = blackHole ? new Socket() : connect({ host: address, port })
      sockets.push(socket)
      return socket
    },
  })
  const impatient = new AbortController()
  const given = pool.open(targetOf(served.port, client), REQUEST, impatient.signal)
  while (sockets.length === 0) await new Promise(setImmediate)
  impatient.abort(new Error('lost interest'))
  await t.rejects(given, { message: 'lost interest' })
  blackHole = false
  await pool.open(targetOf(served.port, client), REQUEST)
  t.ok(sockets[0]?.destroyed)
})
