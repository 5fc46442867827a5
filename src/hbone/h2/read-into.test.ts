import { once } from 'node:events'
import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { tcpPair } from '../test-support.ts'
import { canShareBuffer, READ_BYTES, readInto } from './read-into.ts'

t.test('this Node shares the buffer; if it does not any more, find out how it can be done now', async (t) => {
  t.ok(canShareBuffer())
  const { ours, theirs } = await tcpPair(t)
  const memory = new Set<ArrayBufferLike>()
  await readAll(t, ours, theirs, (bytes) => memory.add(bytes.buffer))
  t.equal(memory.size, 1)
})

t.test('what was read before comes first, and what a pause has held back comes later', async (t) => {
  const { ours, theirs } = await tcpPair(t)
  theirs.write('early ')
  await once(ours, 'readable')
  let text = ''
  readInto(ours, (bytes) => {
    text += bytes.toString()
    if (text === 'early and ') setImmediate(() => ours.resume())
    return text !== 'early and '
  })
  ours.resume()
  theirs.write('and ')
  await once(ours, 'resume')
  theirs.end('late')
  await once(ours, 'end')
  t.equal(text, 'early and late')
})

async function readAll(
  t: Test,
  ours: Socket,
  theirs: Socket,
  onBytes: (bytes: Buffer) => unknown,
): Promise<void> {
  let received = 0
  readInto(ours, (bytes) => {
    received += bytes.length
    onBytes(bytes)
    return true
  })
  ours.resume()
  theirs.end(Buffer.alloc(3 * READ_BYTES))
  await once(ours, 'end')
  t.equal(received, 3 * READ_BYTES)
}
