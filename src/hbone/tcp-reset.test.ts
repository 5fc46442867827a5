import t from 'tap'
import { pump } from './pump.ts'
import { dialTcp, received, tcpPair, tunnel } from './test-support.ts'

// A crashed application is not a broken tunnel: its peer sees the end of the data.
t.test('RST of an application is END_STREAM, then FIN', async (t) => {
  const { port, served } = await tunnel(t, (app) => {
    app.write('partial', () => app.once('data', () => app.resetAndDestroy()))
  })
  const client = await dialTcp(t, port)
  const all = received(client)
  client.write('crash')
  t.equal(String(await all), 'partial')
  t.equal(served.errors.length, 0)
  t.equal(served.hbone.sessions().length, 1, 'the tunnel connection lives')
})

t.test('RST is no error of the pump', async (t) => {
  const left = await tcpPair(t)
  const right = await tcpPair(t)
  const done = pump(left.ours, right.ours, { sent: 0, received: 0 })
  const all = received(right.theirs)
  left.theirs.write('last words', () => left.theirs.resetAndDestroy())
  await all
  right.theirs.end()
  t.same(await done, { error: undefined })
})
