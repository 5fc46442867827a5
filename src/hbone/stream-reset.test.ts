import t from 'tap'
import { ERROR } from './h2/constants.ts'
import { pump } from './pump.ts'
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

const CASES = [
  { code: ERROR.NO_ERROR, reported: false },
  { code: ERROR.CANCEL, reported: false },
  { code: ERROR.STREAM_CLOSED, reported: false },
  { code: ERROR.INTERNAL_ERROR, reported: true },
  { code: ERROR.REFUSED_STREAM, reported: true },
]
/** More than a paused pump takes, less than a stream window. */
const ANSWER = Buffer.alloc(2 * 1024 * 1024, 'x')

for (const { code, reported } of CASES) {
  t.test(`RST_STREAM(${code}) from the server is FIN to the application`, async (t) => {
    const mesh = await createMesh()
    const served = await serveHbone(t, await mesh.issue('server'), (request) => {
      const stream = request.accept()
      stream.write(ANSWER, () => request.tunnel.reset(code))
    })
    const pool = createPool(t)
    const { tunnel } = await pool.open(targetOf(served.port, await mesh.issue('client')), REQUEST)
    const { ours, theirs } = await tcpPair(t)
    // The reset comes while the answer waits here.
    await eventually('reset arrived', () => tunnel.closed)
    const counts = { sent: 0, received: 0 }
    const done = pump(ours, tunnel, counts)
    t.equal((await received(theirs)).length, ANSWER.length, 'what came before the reset arrives')
    theirs.end()
    const { error, side } = await done
    t.equal(error !== undefined, reported)
    if (reported) t.equal(side, 'receive')
    t.equal(counts.received, ANSWER.length)
  })
}

t.test('RST_STREAM while the application is sending', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    request.accept().once('data', () => request.tunnel.reset(ERROR.NO_ERROR))
  })
  const pool = createPool(t)
  const { tunnel } = await pool.open(targetOf(served.port, await mesh.issue('client')), REQUEST)
  const { ours, theirs } = await tcpPair(t)
  const done = pump(ours, tunnel, { sent: 0, received: 0 })
  const sending = setInterval(() => theirs.write(Buffer.alloc(65_536)), 1)
  t.teardown(() => clearInterval(sending))
  t.equal((await received(theirs)).length, 0, 'the application sees FIN')
  t.equal((await done).error, undefined)
})
