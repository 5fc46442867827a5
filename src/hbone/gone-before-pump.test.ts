import t from 'tap'
import { pump } from './pump.ts'
import {
  createMesh,
  createPool,
  eventually,
  REQUEST,
  received,
  serveHbone,
  targetOf,
  tcpPair,
} from './test-support.ts'

t.test('data and FIN that came before the pump', async (t) => {
  const left = await tcpPair(t)
  const right = await tcpPair(t)
  left.ours.pause()
  left.theirs.end('early')
  const all = received(right.theirs)
  right.theirs.end('answer')
  const answer = received(left.theirs)
  const counts = { sent: 0, received: 0 }
  t.same(await pump(left.ours, right.ours, counts), { error: undefined })
  t.equal(String(await all), 'early')
  t.equal(String(await answer), 'answer')
  t.same(counts, { sent: 5, received: 6 })
})

t.test('one side is destroyed already', async (t) => {
  const left = await tcpPair(t)
  const right = await tcpPair(t)
  left.ours.destroy()
  const all = received(right.theirs)
  const done = pump(left.ours, right.ours, { sent: 0, received: 0 })
  await all
  right.theirs.end()
  t.same(await done, { error: undefined })
  await eventually('the other is closed', () => right.ours.destroyed)
})

t.test('the client gives up while we dial its application', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), async (request) => {
    await eventually('it gave up', () => request.tunnel.closed)
    const { ours, theirs } = await tcpPair(t)
    const done = pump(request.acceptTunnel(), ours, { sent: 0, received: 0 })
    await received(theirs)
    theirs.end()
    outcome = await done
    request.refuse(503)
  })
  let outcome: object | undefined
  const abort = new AbortController()
  const opened = createPool(t).open(targetOf(served.port, await mesh.issue('client')), REQUEST, abort.signal)
  await Promise.all([
    t.rejects(opened),
    eventually('asked', () => served.hbone.sessions()[0]?.streams === 1).then(() => abort.abort()),
  ])
  await eventually('the pump is done', () => outcome !== undefined)
  t.same(outcome, { error: undefined })
})
