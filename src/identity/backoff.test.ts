import t from 'tap'
import { backoffMs } from './backoff.ts'

t.test('1 s, doubling, give or take a fifth, at most 150 s', async (t) => {
  t.same(
    [1, 2, 3, 4].map((failures) => backoffMs(failures, 0.5)),
    [1_000, 2_000, 4_000, 8_000],
  )
  t.equal(backoffMs(1, 0), 800)
  t.equal(Math.round(backoffMs(1, 0.999_999)), 1_200)
  t.equal(backoffMs(20, 0.5), 150_000)
  t.equal(backoffMs(20, 0.99), 150_000)
  t.equal(backoffMs(20, 0), 120_000)
  t.equal(backoffMs(5_000, 0.5), 150_000, 'no overflow after days of failing')
})
