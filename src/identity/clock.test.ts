import t from 'tap'
import { LONGEST_TIMER_MS, systemClock } from './clock.ts'

// Node fires a timer at once when its delay needs more than 31 bits.
t.test('a delay beyond 24.8 days does not fire at once', async (t) => {
  let fired = false
  const cancel = systemClock.schedule(LONGEST_TIMER_MS * 2, () => {
    fired = true
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal(fired, false)
  cancel()
})

t.test('a short delay fires once, and not after cancelling', async (t) => {
  let fired = 0
  const cancel = systemClock.schedule(0, () => {
    fired = 100
  })
  cancel()
  const keepAlive = setInterval(() => {}, 1_000)
  await new Promise<void>((resolve) => {
    systemClock.schedule(1, () => {
      fired++
      resolve()
    })
  })
  clearInterval(keepAlive)
  t.equal(fired, 1)
})
