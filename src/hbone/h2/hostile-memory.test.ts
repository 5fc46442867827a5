// What a peer can make a session hold or send, by frames that are each in order.
import t from 'tap'
import { DEFAULT_WINDOW, ERROR, FLAG, FRAME } from './constants.ts'
import { connectFrame, frame, numberFrame, RawPeer, settled } from './raw-peer-test-support.ts'

/** All that the connection's window has ever been opened by, bytes. */
function windowOf(peer: RawPeer): number {
  const credits = peer.sent(FRAME.WINDOW_UPDATE, 0).map(({ payload }) => payload.readUInt32BE(0))
  return credits.reduce((sum, credit) => sum + credit, DEFAULT_WINDOW)
}

/** A CONNECT, DATA, and RST_STREAM. */
function abandoned(streamId: number, bytes: number): Buffer {
  return Buffer.concat([
    connectFrame(streamId),
    frame(FRAME.DATA, 0, streamId, Buffer.alloc(bytes)),
    numberFrame(FRAME.RST_STREAM, streamId, ERROR.CANCEL),
  ])
}

t.test('what an abandoned stream had received does not count for ever', async (t) => {
  const peer = new RawPeer(t, { limits: { maxHeldBytes: 100_000 } })
  for (let i = 0; i < 20; i++) {
    peer.send(abandoned(i * 2 + 1, 50_000))
    await settled()
  }
  peer.send(connectFrame(101))
  await settled()
  t.ok(peer.session.stream(101), 'the connection still takes streams')
})

t.test('what is read from a stream later on does not count twice', async (t) => {
  const peer = new RawPeer(t, { limits: { maxHeldBytes: 100_000 } })
  for (let i = 0; i < 20; i++) {
    peer.send(connectFrame(i * 2 + 1), frame(FRAME.DATA, 0, i * 2 + 1, Buffer.alloc(50_000)))
    await settled()
    peer.send(numberFrame(FRAME.RST_STREAM, i * 2 + 1, ERROR.CANCEL))
    await settled()
    const stream = peer.streams[i]
    let received = 0
    stream?.consume({
      onBytes: (bytes) => {
        received += bytes.length
        stream.credit(bytes.length)
      },
      onEnd() {},
      onRoom() {},
      onEndSent() {},
      onClose() {},
    })
    t.equal(received, 50_000)
  }
  for (const id of [101, 103, 105]) {
    peer.send(connectFrame(id), frame(FRAME.DATA, 0, id, Buffer.alloc(60_000)))
    await settled()
  }
  t.same(
    [101, 103, 105].map((id) => peer.session.stream(id) !== undefined),
    [true, true, false],
  )
})

t.test('the rest of a frame on a stream that was reset in the middle of it does not count', async (t) => {
  const peer = new RawPeer(t, { limits: { maxHeldBytes: 100_000 } })
  for (let i = 0; i < 20; i++) {
    const data = frame(FRAME.DATA, 0, i * 2 + 1, Buffer.alloc(50_000))
    peer.send(connectFrame(i * 2 + 1), data.subarray(0, 10_000))
    await settled()
    peer.streams[i]?.reset(ERROR.CANCEL)
    peer.send(data.subarray(10_000))
    await settled()
  }
  peer.send(connectFrame(101))
  await settled()
  t.ok(peer.session.stream(101), 'the connection still takes streams')
})

t.test('streams that nobody reads share one bound', async (t) => {
  const peer = new RawPeer(t, {
    settings: { initialWindowSize: 1_000_000 },
    connectionWindowSize: 200_000,
    limits: { maxHeldBytes: 300_000 },
  })
  for (let id = 1; id < 20; id += 2) peer.send(connectFrame(id))
  let sent = 0
  for (;;) {
    const given = windowOf(peer)
    if (given - sent < 50_000 || sent > 5_000_000) break
    peer.send(frame(FRAME.DATA, 0, 1 + 2 * ((sent / 50_000) % 10), Buffer.alloc(50_000)))
    sent += 50_000
    await settled()
  }
  t.ok(sent >= 300_000 && sent <= 550_000, `${sent} bytes were taken`)
  t.equal(peer.ended, undefined)
  for (const stream of peer.streams) stream.reset(ERROR.CANCEL)
  await settled()
  const given = windowOf(peer)
  t.ok(given - sent >= 100_000, 'the window opens again when they are gone')
})

t.test('a peer that makes us reset its streams is as one that resets them', async (t) => {
  const tricks: [string, (id: number) => Buffer][] = [
    ['credit of 0', (id) => numberFrame(FRAME.WINDOW_UPDATE, id, 0)],
    ['too much credit', (id) => numberFrame(FRAME.WINDOW_UPDATE, id, 2 ** 31 - 1)],
    ['HEADERS again', (id) => connectFrame(id)],
    ['DATA beyond the window', (id) => frame(FRAME.DATA, 0, id, Buffer.alloc(70_000))],
    [
      'DATA behind END_STREAM',
      (id) =>
        Buffer.concat([
          frame(FRAME.DATA, FLAG.END_STREAM, id, Buffer.from('a')),
          frame(FRAME.DATA, 0, id, Buffer.from('b')),
        ]),
    ],
  ]
  for (const [name, trick] of tricks) {
    const peer = new RawPeer(t, { limits: { resetBurst: 20, resetRate: 0.001 } })
    for (let id = 1; id < 200; id += 2) {
      peer.send(connectFrame(id))
      await settled()
      peer.send(trick(id))
      await settled()
    }
    t.match(peer.ended?.error, { code: 'protocol', h2Code: ERROR.ENHANCE_YOUR_CALM }, name)
    t.ok(
      peer.streams.length > 15 && peer.streams.length < 25,
      `${name}: after ${peer.streams.length} streams`,
    )
  }
})

t.test('a peer that reads no answers is not answered without end', async (t) => {
  const peer = new RawPeer(t, {
    onStream: (stream) => {
      stream.answerAndEnd(400, {})
      stream.reset(ERROR.NO_ERROR)
    },
  })
  await settled()
  peer.pause()
  for (let id = 1; id < 200_000 && peer.ended === undefined; id += 200) {
    peer.send(...Array.from({ length: 100 }, (_, i) => connectFrame(id + 2 * i)))
    await new Promise(setImmediate)
  }
  t.match(peer.ended?.error, { h2Code: ERROR.ENHANCE_YOUR_CALM })
  t.ok(peer.streams.length < 10_000, `after ${peer.streams.length} streams`)
})

t.test('frames that do nothing end the connection when there are too many', async (t) => {
  const frames: [string, Buffer][] = [
    ['GOAWAY', frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8))],
    ['empty DATA', frame(FRAME.DATA, 0, 1)],
    ['SETTINGS', frame(FRAME.SETTINGS)],
    ['PRIORITY', frame(FRAME.PRIORITY, 0, 1, Buffer.alloc(5))],
    ['unknown', frame(0xfa)],
  ]
  for (const [name, bytes] of frames) {
    const peer = new RawPeer(t)
    peer.send(connectFrame(1))
    for (let i = 0; i < 40 && peer.ended === undefined; i++) {
      peer.send(...Array.from({ length: 50 }, () => bytes))
      await settled()
    }
    t.match(peer.ended?.error, { h2Code: ERROR.ENHANCE_YOUR_CALM }, name)
  }
})
