import t from 'tap'
import { Buckets } from './buckets.ts'

t.test('values stay in the order of arrival', async (t) => {
  const buckets = new Buckets<{ n: number }>()
  const [a, b, c] = [{ n: 1 }, { n: 2 }, { n: 3 }]
  for (const value of [a, b, c]) buckets.add('k', value)
  t.same(buckets.all('k'), [a, b, c])
  buckets.remove('k', b)
  buckets.remove('k', b)
  t.same(buckets.all('k'), [a, c])
  buckets.remove('k', a)
  t.equal(buckets.first('k'), c)
  buckets.remove('k', c)
  t.equal(buckets.size, 0)
  t.same(buckets.all('k'), [])
})

t.test('with a rank the highest is first, and of equals the last', async (t) => {
  const buckets = new Buckets<{ rank: number; n: number }>(({ rank }) => rank)
  for (const [n, rank] of [1, 3, 3, 2].entries()) buckets.add('k', { rank, n })
  t.same(
    buckets.all('k').map(({ n }) => n),
    [2, 1, 3, 0],
  )
})
