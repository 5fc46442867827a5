import fc from 'fast-check'
import t from 'tap'
import { ReceivedBytes } from './received-bytes.ts'

t.test('what was received comes out in its order', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 })), (chunks) => {
      const received = new ReceivedBytes()
      for (const chunk of chunks) received.append(Buffer.from(chunk))
      return Buffer.concat(received.pieces()).equals(Buffer.concat(chunks))
    }),
  )
  t.pass()
})

t.test('single bytes are kept together', async (t) => {
  const received = new ReceivedBytes()
  for (let i = 0; i < 100_000; i++) received.append(Buffer.from([i]))
  const pieces = received.pieces()
  t.ok(pieces.length < 10, `${pieces.length} pieces`)
})
