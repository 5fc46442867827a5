import { createHash, randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { ERROR, FLAG, FRAME } from './constants.ts'
import { connectFrame, frame, numberFrame, RawPeer, settled } from './raw-peer-test-support.ts'
import { TunnelDuplex } from './tunnel-duplex.ts'

async function open(t: Test): Promise<{ peer: RawPeer; duplex: TunnelDuplex }> {
  const peer = new RawPeer(t)
  peer.send(connectFrame(1))
  await settled()
  const [stream] = peer.streams
  if (stream === undefined) throw new Error('no stream')
  stream.session.answer(stream, 200, {}, false)
  return { peer, duplex: new TunnelDuplex(stream) }
}

t.test('single bytes that nobody reads are kept together', async (t) => {
  const { peer, duplex } = await open(t)
  const byte = frame(FRAME.DATA, 0, 1, Buffer.from('x'))
  for (let i = 0; i < 60; i++) {
    peer.send(...Array.from({ length: 1000 }, () => byte))
    await settled()
  }
  const chunks: Buffer[] = []
  duplex.on('data', (chunk: Buffer) => chunks.push(chunk))
  peer.send(frame(FRAME.DATA, FLAG.END_STREAM, 1, Buffer.from('!')))
  await new Promise((resolve) => duplex.once('end', resolve))
  t.equal(Buffer.concat(chunks).toString(), `${'x'.repeat(60_000)}!`)
  t.ok(chunks.length < 1000, `${chunks.length} pieces`)
})

t.test('a window that was full is opened again when it is read', async (t) => {
  const { peer, duplex } = await open(t)
  peer.send(frame(FRAME.DATA, 0, 1, Buffer.alloc(65_535)))
  await settled()
  duplex.resume()
  await settled()
  const credit = peer
    .sent(FRAME.WINDOW_UPDATE, 1)
    .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0)
  t.equal(credit, 65_535)
})

t.test('nothing is credited before it is read', async (t) => {
  const { peer } = await open(t)
  peer.send(frame(FRAME.DATA, 0, 1, Buffer.alloc(65_535)))
  await settled()
  t.equal(peer.sent(FRAME.WINDOW_UPDATE, 1).length, 0)
})

for (const code of [ERROR.NO_ERROR, ERROR.CANCEL]) {
  for (const ends of [true, false]) {
    t.test(`what came before a reset is there to be read: ${code} ${ends}`, async (t) => {
      const { peer, duplex } = await open(t)
      const bytes = randomBytes(60_000)
      peer.send(
        frame(FRAME.DATA, 0, 1, bytes.subarray(0, 30_000)),
        frame(FRAME.DATA, ends ? FLAG.END_STREAM : 0, 1, bytes.subarray(30_000)),
        numberFrame(FRAME.RST_STREAM, 1, code),
      )
      await settled()
      const hash = createHash('sha256')
      let ended = false
      duplex
        .on('data', (chunk: Buffer) => hash.update(chunk))
        .on('end', () => {
          ended = true
        })
      while (!duplex.closed) await settled()
      t.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'))
      t.equal(ended, ends)
    })
  }
}

t.test('chunks stay as they are while the memory that was read into is used again', async (t) => {
  const { peer, duplex } = await open(t)
  const chunks: Buffer[] = []
  duplex.on('data', (chunk: Buffer) => chunks.push(chunk))
  const all = createHash('sha256')
  for (let i = 0; i < 50; i++) {
    const bytes = randomBytes(1 + i * 131)
    all.update(bytes)
    const framed = frame(FRAME.DATA, 0, 1, bytes)
    peer.send(framed)
    await settled()
    // What the session was given is overwritten, as a shared buffer is by the next read.
    framed.fill(0)
  }
  t.equal(createHash('sha256').update(Buffer.concat(chunks)).digest('hex'), all.digest('hex'))
})
