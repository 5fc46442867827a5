import fc from 'fast-check'
import t from 'tap'
import { percentile, summarize } from './statistics.ts'

t.test('the median of rounds, with the extremes', async (t) => {
  t.same(summarize([3, 1, 2]), { median: 2, min: 1, max: 3, count: 3 })
  t.same(summarize([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4, count: 4 })
  t.same(summarize([7]), { median: 7, min: 7, max: 7, count: 1 })
})

t.test('rounds without the figure do not count', async (t) => {
  t.equal(summarize([]), undefined)
  t.equal(summarize([Number.NaN]), undefined)
  t.same(summarize([Number.NaN, 5]), { median: 5, min: 5, max: 5, count: 1 })
})

t.test('percentiles by nearest rank', async (t) => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1)
  t.equal(percentile(hundred, 0.5), 50)
  t.equal(percentile(hundred, 0.99), 99)
  t.equal(percentile(hundred, 0.999), 100)
  t.equal(percentile([8], 0.5), 8)
  t.ok(Number.isNaN(percentile([], 0.5)))
})

t.test('a percentile is one of the values, and as many are not above it as its share says', async () => {
  const values = fc.array(fc.integer(), { minLength: 1 })
  fc.assert(
    fc.property(values, fc.double({ min: 0.001, max: 1, noNaN: true }), (unsorted, share) => {
      const sorted = unsorted.sort((a, b) => a - b)
      const value = percentile(sorted, share)
      const below = sorted.filter((each) => each <= value).length
      return sorted.includes(value) && below >= share * sorted.length
    }),
  )
})
