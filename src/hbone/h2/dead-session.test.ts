// What a peer sends behind the end of a session, in the same read, must have no effect.
import t from 'tap'
import { ERROR, FRAME } from './constants.ts'
import { connectFrame, goawayFrame, numberFrame, RawPeer, settled } from './raw-peer-test-support.ts'

t.test('requests behind a GOAWAY with an error', async (t) => {
  const peer = new RawPeer(t)
  peer.send(goawayFrame(0, ERROR.INTERNAL_ERROR), connectFrame(1), connectFrame(3))
  await settled()
  t.ok(peer.ended)
  t.equal(peer.streams.length, 0, 'nobody would ever tell them of the end')
})

t.test('requests behind one whose handler ends the session', async (t) => {
  const peer = new RawPeer(t, { onStream: (stream) => stream.session.destroy() })
  peer.send(connectFrame(1), connectFrame(3))
  await settled()
  t.ok(peer.ended)
  t.same(
    peer.streams.map(({ id, closed }) => [id, closed]),
    [[1, true]],
  )
})

t.test('credit and resets behind the end', async (t) => {
  const peer = new RawPeer(t)
  peer.send(connectFrame(1))
  await settled()
  peer.send(goawayFrame(0, ERROR.INTERNAL_ERROR), numberFrame(FRAME.WINDOW_UPDATE, 0, 0))
  await settled()
  t.match(peer.ended?.error, { code: 'goaway' }, 'the first reason is the reason')
  t.same(
    peer.streams.map(({ closed }) => closed),
    [true],
  )
})
