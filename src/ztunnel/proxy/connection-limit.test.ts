import t from 'tap'
import { ConnectionLimit, createConnectionCounts, releaseThread } from './connection-limit.ts'

t.test('a place is given back once', async (t) => {
  const limit = new ConnectionLimit(2)
  const releases = [limit.take(), limit.take()]
  t.equal(limit.take(), undefined)
  releases[0]?.()
  releases[0]?.()
  t.equal(limit.open, 1)
  t.ok(limit.take())
  t.equal(limit.take(), undefined)
})

t.test('threads share the places; those of a thread that ends are free, and no others', async (t) => {
  const counts = createConnectionCounts(2)
  const [first, second] = [0, 1].map((thread) => new ConnectionLimit(3, { counts, thread }))
  const release = first?.take()
  t.ok(second?.take())
  t.ok(second?.take())
  t.equal(first?.take(), undefined)
  t.equal(second?.take(), undefined)
  releaseThread(counts, 1)
  t.equal(first?.open, 1)
  releaseThread(counts, 1)
  t.equal(first?.open, 1)
  release?.()
  t.equal(first?.open, 0)
})
