import t from 'tap'
import { createMesh, createPool, eventually, REQUEST, serveHbone, targetOf } from './test-support.ts'

t.test('a connection without streams is closed after a while, with GOAWAY', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const pool = createPool(t, { idleTimeoutMs: 50 })
  const client = await mesh.issue('client')
  const { stream } = await pool.open(targetOf(served.port, client), REQUEST)
  // Made later and idle from then on: when it has gone, the first one's time would be up too.
  const other = await pool.open(targetOf(served.port, client, { sourceAddress: '10.0.0.2' }), REQUEST)
  other.stream.destroy()
  await eventually('the other is closed', () => pool.dump().length === 1)
  t.match(pool.dump(), [{ sourceAddress: '127.0.0.1', state: 'open' }], 'not while it has a stream')
  stream.destroy()
  await eventually('closed', () => pool.dump().length === 0)
  await eventually('closed there too', () => served.hbone.sessions().length === 0)
  t.same(served.errors, [])
})

t.test('above the limit, the longest unused connection goes', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const pool = createPool(t, { maxConnections: 2 })
  const open = async (sourceAddress: string) =>
    (await pool.open(targetOf(served.port, client, { sourceAddress }), REQUEST)).stream
  const busy = await open('10.0.0.1')
  const unused = await open('10.0.0.2')
  unused.destroy()
  await eventually('unused', () => pool.dump()[1]?.streams === 0)
  await open('10.0.0.3')
  await eventually('evicted', () => pool.dump().length === 2)
  t.same(
    pool.dump().map(({ sourceAddress }) => sourceAddress),
    ['10.0.0.1', '10.0.0.3'],
  )
  t.equal(busy.destroyed, false)
})

t.test('different keys never share a connection', async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const pool = createPool(t)
  const base = targetOf(served.port, client)
  const server = 'spiffe://cluster.local/ns/app/sa/server'
  const other = 'spiffe://cluster.local/ns/app/sa/other'
  await pool.open(base, REQUEST)
  await pool.open({ ...base, sourceAddress: '10.0.0.9' }, REQUEST)
  await pool.open({ ...base, sourceIdentity: other }, REQUEST)
  await pool.open({ ...base, destinationIdentities: [server, other] }, REQUEST)
  await pool.open({ ...base, destinationIdentities: [other, server] }, REQUEST)
  t.equal(served.sockets.length, 5)
  await pool.open(base, REQUEST)
  t.equal(served.sockets.length, 5)
})
