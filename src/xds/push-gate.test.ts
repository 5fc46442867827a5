import t from 'tap'
import { PushGate } from './push-gate.ts'

t.test('places are given in the order of asking, and no more than there are', async (t) => {
  const gate = new PushGate(2, 60_000)
  const entered: number[] = []
  const leaves = new Map<number, () => void>()
  const asking = [0, 1, 2, 3].map(async (who) => {
    leaves.set(who, await gate.enter())
    entered.push(who)
  })
  await Promise.all(asking.slice(0, 2))
  t.strictSame(entered, [0, 1])
  leaves.get(1)?.()
  leaves.get(1)?.()
  await asking[2]
  t.strictSame(entered, [0, 1, 2], 'leaving twice gives one place')
  leaves.get(0)?.()
  leaves.get(2)?.()
  await Promise.all(asking)
  t.strictSame(entered, [0, 1, 2, 3])
})

t.test('one that does not leave holds nobody up for ever', async (t) => {
  const gate = new PushGate(1, 5)
  // The gate's own timer keeps no process alive.
  const keepAlive = setTimeout(() => {}, 10_000)
  t.teardown(() => clearTimeout(keepAlive))
  const stay = await gate.enter()
  const second = await gate.enter()
  stay()
  second()
  const third = await gate.enter()
  await gate.enter()
  t.pass('the fourth came in although the third never left')
  third()
})
