// What is said to a session that has ended, and only waits for the peer to end as well.
import t from 'tap'
import { ERROR, FRAME } from './constants.ts'
import { connectFrame, frame, RawPeer, settled } from './raw-peer-test-support.ts'

t.test('a PING that crossed the end breaks nothing', async (t) => {
  const peer = new RawPeer(t)
  await settled()
  peer.session.close()
  await settled()
  t.equal(peer.sent(FRAME.GOAWAY).length, 1)
  peer.send(frame(FRAME.PING, 0, 0, Buffer.alloc(8)), connectFrame(1))
  await settled()
  t.same(peer.streams, [])
  t.not(peer.ended?.error instanceof Error, true, 'no error')
})

t.test('the last bytes of the last stream leave before the end', async (t) => {
  const peer = new RawPeer(t)
  peer.send(connectFrame(1))
  await settled()
  const [stream] = peer.streams
  if (stream === undefined) throw new Error('no stream')
  peer.session.close()
  stream.write(Buffer.alloc(50_000))
  stream.end()
  stream.reset(ERROR.CANCEL)
  await settled()
  const sent = peer.sent(FRAME.DATA, 1).reduce((sum, { payload }) => sum + payload.length, 0)
  t.equal(sent, 50_000)
  t.equal(peer.sent(FRAME.RST_STREAM, 1).length, 1)
})
