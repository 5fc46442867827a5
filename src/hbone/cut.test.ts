import t from 'tap'
import { pump } from './pump.ts'
import { STREAM_WINDOW_SIZE } from './settings.ts'
import {
  createMesh,
  createPool,
  eventually,
  REQUEST,
  received,
  serveHbone,
  targetOf,
  tcpPair,
} from './test-support.ts'

const ANSWER = Buffer.alloc(1024 * 1024, 'x')

for (const how of ['reset', 'fin'] as const) {
  t.test(`the connection below is cut by ${how}`, async (t) => {
    const mesh = await createMesh()
    const client = await mesh.issue('client')
    const served = await serveHbone(t, await mesh.issue('server'), (request) =>
      request.accept().write(ANSWER),
    )
    const pool = createPool(t)
    const { tunnel } = await pool.open(targetOf(served.port, client), REQUEST)
    await eventually('answer arrived', () => tunnel.receiveWindow === STREAM_WINDOW_SIZE - ANSWER.length)
    const { ours, theirs } = await tcpPair(t)
    const done = pump(ours, tunnel, { sent: 0, received: 0 })
    if (how === 'reset') served.sockets[0]?.resetAndDestroy()
    else served.sockets[0]?.destroy()
    t.equal((await received(theirs)).length, ANSWER.length, 'what had arrived is delivered, then FIN')
    theirs.end()
    t.same(await done, { error: undefined })
    t.ok(tunnel.closed)
    await eventually('the socket is closed', () => ours.destroyed)
    await eventually('pool forgot it', () => pool.dump().length === 0)
    await pool.open(targetOf(served.port, client), REQUEST)
    t.equal(served.sockets.length, 2, 'the next tunnel has a new connection')
  })
}
