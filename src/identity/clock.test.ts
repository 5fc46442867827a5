import t from 'tap'
import { LONGEST_TIMER_MS, systemClock } from './clock.ts'

// Node fires a timer at once when its delay needs more than 31 bits.
t.test('a delay beyond 24.8 days is waited for in steps that Node can take, then fires', async (t) => {
  const wanted = LONGEST_TIMER_MS * 2 + 5
  const steps: number[] = []
  const timers: (() => void)[] = []
  const realTimer = setTimeout(() => {}, 0)
  const { restore } = t.capture(globalThis, 'setTimeout', (run: () => void, delayMs: number) => {
    steps.push(delayMs)
    timers.push(run)
    return realTimer
  })
  let fired = 0
  systemClock.schedule(wanted, () => {
    fired++
  })
  for (let run = timers.shift(); run !== undefined; run = timers.shift()) {
    t.equal(fired, 0)
    run()
  }
  restore()
  t.same(steps, [LONGEST_TIMER_MS, LONGEST_TIMER_MS, 5])
  t.equal(fired, 1)
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
