import { constants } from 'node:http2'
import t from 'tap'
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
  { code: constants.NGHTTP2_NO_ERROR, reported: false },
  { code: constants.NGHTTP2_CANCEL, reported: false },
  { code: constants.NGHTTP2_STREAM_CLOSED, reported: false },
  { code: constants.NGHTTP2_INTERNAL_ERROR, reported: true },
  { code: constants.NGHTTP2_REFUSED_STREAM, reported: true },
]
/** More than a paused pump takes, less than a stream window. */
const ANSWER = Buffer.alloc(2 * 1024 * 1024, 'x')

for (const { code, reported } of CASES) {
  t.test(`RST_STREAM(${code}) from the server is FIN to the application`, async (t) => {
    const mesh = await createMesh()
    const served = await serveHbone(t, await mesh.issue('server'), (request) => {
      const stream = request.accept()
      stream.write(ANSWER, () => request.stream.close(code))
    })
    const pool = createPool(t)
    const { stream } = await pool.open(targetOf(served.port, await mesh.issue('client')), REQUEST)
    const { ours, theirs } = await tcpPair(t)
    // The reset comes while the answer waits here.
    await eventually('reset arrived', () => stream.closed)
    const counts = { sent: 0, received: 0 }
    const done = pump(ours, stream, counts)
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
    request.accept().once('data', () => request.stream.close(constants.NGHTTP2_NO_ERROR))
  })
  const pool = createPool(t)
  const { stream } = await pool.open(targetOf(served.port, await mesh.issue('client')), REQUEST)
  const { ours, theirs } = await tcpPair(t)
  const done = pump(ours, stream, { sent: 0, received: 0 })
  const sending = setInterval(() => theirs.write(Buffer.alloc(65_536)), 1)
  t.teardown(() => clearInterval(sending))
  t.equal((await received(theirs)).length, 0, 'the application sees FIN')
  t.equal((await done).error, undefined)
})
