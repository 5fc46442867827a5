import t from 'tap'
import { RateLimit } from './rate-limit.ts'

t.test('what was used up slowly is earned again, the first time as well', async (t) => {
  const limit = new RateLimit(2, 1_000_000)
  for (let taken = 0; taken < 5; taken++) {
    t.ok(limit.take())
    const since = performance.now()
    while (performance.now() < since + 0.01);
  }
})

t.test('what is used up at once is not', async (t) => {
  const limit = new RateLimit(2, 0.001)
  t.same([limit.take(), limit.take(), limit.take(), limit.take()], [true, true, false, false])
})
