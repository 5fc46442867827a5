import t from 'tap'
import { createLogger } from './logger.ts'
import { Lines, ManualClock } from './test-support.ts'
import { WarningLimiter } from './warning-limiter.ts'

function setup(maxKeys?: number) {
  const destination = new Lines()
  const clock = new ManualClock()
  const log = createLogger({ format: 'plain', level: 'info', destination, clock }).scope('s')
  const limiter = new WarningLimiter({
    clock,
    intervalMs: 1000,
    ...(maxKeys === undefined ? {} : { maxKeys }),
  })
  return {
    log,
    limiter,
    clock,
    texts: () => destination.lines.map((line) => line.split('\t').slice(3).join(' ').trim()),
  }
}

t.test('one line for each key and interval, with the number of those left out', async (t) => {
  const { log, limiter, clock, texts } = setup()
  for (let i = 0; i < 5; i++) limiter.warn(log, 'a', 'dial failed', { peer: 'a' })
  limiter.warn(log, 'b', 'dial failed', { peer: 'b' })
  clock.advance(1000)
  limiter.warn(log, 'a', 'dial failed', { peer: 'a' })
  clock.advance(1000)
  limiter.warn(log, 'a', 'dial failed', { peer: 'a' })
  t.same(texts(), [
    'dial failed peer="a"',
    'dial failed peer="b"',
    'dial failed peer="a" suppressed=4',
    'dial failed peer="a"',
  ])
})

t.test('it remembers no more keys than it may', async (t) => {
  const { log, limiter, texts } = setup(2)
  for (const key of ['a', 'b', 'c', 'b', 'a']) limiter.warn(log, key, key)
  t.same(texts(), ['a', 'b', 'c', 'a'], 'b was remembered, a was dropped')
})

t.test('a burst is written before the rest is counted', async (t) => {
  const { log, clock, texts } = setup()
  const limiter = new WarningLimiter({ clock, intervalMs: 1000, burst: 3 })
  for (let i = 0; i < 5; i++) limiter.warn(log, 'a', `n${i}`)
  clock.advance(1000)
  for (let i = 5; i < 7; i++) limiter.warn(log, 'a', `n${i}`)
  t.same(texts(), ['n0', 'n1', 'n2', 'n5 suppressed=2', 'n6'])
})
