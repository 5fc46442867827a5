import t from 'tap'
import { FLAG, FRAME } from './constants.ts'
import { frame, RawPeer, settled } from './raw-peer-test-support.ts'

t.test('only the answer to a PING is one: whoever reads nothing cannot make it up', async (t) => {
  const peer = new RawPeer(t)
  await settled()
  let pongs = 0
  for (let i = 0; i < 2; i++) peer.session.ping(() => pongs++)
  peer.send(frame(FRAME.PING, FLAG.ACK, 0, Buffer.alloc(8)))
  await settled()
  t.equal(pongs, 0, 'eight bytes that nobody sent')
  const [first, second] = peer.sent(FRAME.PING).map(({ payload }) => payload)
  if (first === undefined || second === undefined) throw new Error('there are two PINGs')
  t.notOk(first.equals(second))
  peer.send(frame(FRAME.PING, FLAG.ACK, 0, first))
  await settled()
  t.equal(pongs, 1)
  peer.send(frame(FRAME.PING, FLAG.ACK, 0, first))
  await settled()
  t.equal(pongs, 1, 'the first one again')
  peer.send(frame(FRAME.PING, FLAG.ACK, 0, second))
  await settled()
  t.equal(pongs, 2)
})

t.test('a flood of made-up answers ends the connection', async (t) => {
  const peer = new RawPeer(t)
  await settled()
  const flood = Buffer.concat(
    Array.from({ length: 5000 }, () => frame(FRAME.PING, FLAG.ACK, 0, Buffer.alloc(8))),
  )
  peer.send(flood)
  await settled()
  t.match(peer.ended, { error: { code: 'protocol' } })
})
