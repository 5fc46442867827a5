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

t.test('our own new SVID: new streams on a new connection, the old one finishes', async (t) => {
  const mesh = await createMesh()
  let svid = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    const app = request.accept()
    app.resume().once('end', () => app.end('done'))
  })
  const pool = createPool(t)
  const target = targetOf(served.port, svid, { svid: () => Promise.resolve(svid) })
  const first = await pool.open(target, REQUEST)
  svid = await mesh.issue('client')
  const second = await pool.open(target, REQUEST)
  t.equal(served.sockets.length, 2)
  t.match(pool.dump(), [{ state: 'draining' }, { state: 'open', serialNumber: svid.serialNumber }])
  const answer = received(first.stream)
  first.stream.end()
  t.equal(String(await answer), 'done')
  await eventually('the old connection is closed', () => pool.dump().length === 1)
  t.equal(second.stream.destroyed, false)
})

t.test("the server's new SVID: for new connections, live ones stay", async (t) => {
  const mesh = await createMesh()
  const client = await mesh.issue('client')
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const pool = createPool(t)
  const first = await pool.open(targetOf(served.port, client), REQUEST)
  const renamed = 'spiffe://cluster.local/ns/app/sa/renamed'
  served.hbone.rotate(await mesh.issue('renamed'))
  const target = targetOf(served.port, client, { destinationIdentities: [renamed] })
  t.equal((await pool.open(target, REQUEST)).peerIdentity, renamed)
  t.equal(first.stream.destroyed, false)
  await pool.open(targetOf(served.port, client), REQUEST)
  t.equal(served.sockets.length, 2, 'the live connection still takes streams')
})
