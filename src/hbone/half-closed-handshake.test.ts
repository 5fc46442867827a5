import { once } from 'node:events'
import t from 'tap'
import { createMesh, dialTcp, eventually, serveHbone } from './test-support.ts'

t.test('a client that gives up in the middle of its ClientHello is let go at once', async (t) => {
  const mesh = await createMesh()
  const { port, errors } = await serveHbone(t, await mesh.issue('server'), () => {}, {
    // Much longer than this test waits.
    handshakeTimeoutMs: 60_000,
  })
  const client = await dialTcp(t, port)
  client.resume()
  // The head of a record of 512 bytes, and the first of them.
  client.end(Buffer.from('1603010200010001fc0303', 'hex'))
  await once(client, 'close', { signal: AbortSignal.timeout(10_000) })
  await eventually('it is reported', () => errors.length === 1)
  t.match(errors[0]?.error, { code: 'tls' })
})
