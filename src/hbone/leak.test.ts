import t from 'tap'
import { dialTcp, eventually, received, tunnel } from './test-support.ts'

const ROUNDS = 20
const AT_ONCE = 50

t.test('a thousand short connections leave nothing behind', async (t) => {
  const { port, served, pool } = await tunnel(t, (app) => {
    app.once('data', () => app.end('pong'))
    app.resume()
  })
  const connection = async (index: number): Promise<void> => {
    const client = await dialTcp(t, port)
    const answer = received(client)
    client.write('ping')
    // Some close properly, some just go away.
    if (index % 3 === 0) client.end()
    t.equal(String(await answer), 'pong')
    client.destroy()
  }
  await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => connection(index)))
  const sockets = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
  const quiet = (): boolean => served.hbone.sessions().every(({ streams }) => streams === 0)
  await eventually('all streams ended', quiet)
  const before = sockets()
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => connection(index)))
  }
  await eventually('all streams ended', quiet)
  await eventually('the pool has no stream', () => pool.dump().every(({ streams }) => streams === 0))
  await eventually('as many sockets as before', () => sockets() <= before)
  t.equal(served.sockets.length, 1, 'all on one connection')
  const [socket] = served.sockets
  for (const event of socket?.eventNames() ?? []) {
    t.ok((socket?.listenerCount(event) ?? 0) < 6, `listeners of ${String(event)}`)
  }
  t.same(served.errors, [])
})
