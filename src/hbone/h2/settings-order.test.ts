import t from 'tap'
import { FLAG, FRAME } from './constants.ts'
import { connectFrame, RawPeer, settingsFrame, settled } from './raw-peer-test-support.ts'

const INITIAL_WINDOW_SIZE = 4

t.test('DATA that new SETTINGS allow comes behind their acknowledgement', async (t) => {
  const peer = new RawPeer(t)
  peer.send(settingsFrame([INITIAL_WINDOW_SIZE, 100]), connectFrame(1))
  await settled()
  const [stream] = peer.streams
  if (stream === undefined) throw new Error('no stream')
  stream.session.answer(stream, 200, {}, false)
  t.equal(stream.write(Buffer.alloc(50_000)), false)
  await settled()
  const before = peer.frames.length
  peer.send(settingsFrame([INITIAL_WINDOW_SIZE, 60_000]))
  await settled()
  const after = peer.frames.slice(before)
  t.match(after[0], { type: FRAME.SETTINGS, flags: FLAG.ACK })
  const sent = peer.sent(FRAME.DATA, 1).map(({ payload }) => payload.length)
  t.equal(sent[0], 100)
  t.equal(
    sent.reduce((sum, length) => sum + length),
    50_000,
  )
})

t.test('a window that becomes negative is made good before more is sent', async (t) => {
  const peer = new RawPeer(t)
  peer.send(connectFrame(1))
  await settled()
  const [stream] = peer.streams
  if (stream === undefined) throw new Error('no stream')
  stream.session.answer(stream, 200, {}, false)
  stream.write(Buffer.alloc(60_000))
  peer.send(settingsFrame([INITIAL_WINDOW_SIZE, 10]))
  await settled()
  t.equal(stream.sendWindow, 10 - 60_000)
  stream.write(Buffer.alloc(100))
  peer.send(settingsFrame([INITIAL_WINDOW_SIZE, 60_000]))
  await settled()
  t.equal(stream.sendWindow, 0)
  peer.send(settingsFrame([INITIAL_WINDOW_SIZE, 60_001]))
  await settled()
  const sent = peer.sent(FRAME.DATA, 1).reduce((sum, { payload }) => sum + payload.length, 0)
  t.equal(sent, 60_001)
})
