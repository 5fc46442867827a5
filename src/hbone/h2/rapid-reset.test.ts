import t from 'tap'
import { ERROR, FRAME } from './constants.ts'
import { connectFrame, numberFrame, RawPeer, settled } from './raw-peer-test-support.ts'

t.test('streams that are reset at once begin nothing', async (t) => {
  const peer = new RawPeer(t)
  const pair = (id: number): Buffer =>
    Buffer.concat([connectFrame(id), numberFrame(FRAME.RST_STREAM, id, ERROR.CANCEL)])
  peer.send(...Array.from({ length: 1000 }, (_, i) => pair(1 + 2 * i)), connectFrame(2001))
  await settled()
  t.same(
    peer.streams.map(({ id }) => id),
    [2001],
    'only the one that lives',
  )
  t.equal(peer.session.streams, 1)
})

t.test('without end, they end the connection', async (t) => {
  const peer = new RawPeer(t, { limits: { resetBurst: 100, resetRate: 1 } })
  for (let id = 1; id < 1000 && peer.ended === undefined; id += 2) {
    peer.send(connectFrame(id), numberFrame(FRAME.RST_STREAM, id, ERROR.CANCEL))
    await settled()
  }
  t.match(peer.ended?.error, { h2Code: ERROR.ENHANCE_YOUR_CALM })
})
