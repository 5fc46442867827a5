import t from 'tap'
import { createLogger } from '../telemetry/index.ts'
import { Lines } from '../telemetry/test-support.ts'
import { Drain } from './drain.ts'

interface Timer {
  readonly ms: number
  readonly fire: () => void
}

function setup() {
  const destination = new Lines()
  const log = createLogger({ format: 'plain', level: 'info', destination }).scope('drain')
  const timers = new Set<Timer>()
  const drain = new Drain({
    log,
    schedule: (callback, ms) => {
      const timer: Timer = {
        ms,
        fire: () => {
          timers.delete(timer)
          callback()
        },
      }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
  })
  const fire = (): void => [...timers][0]?.fire()
  const lines = () => destination.lines.map((line) => line.split('\t').slice(3).join(' ').trim())
  return { drain, timers, fire, lines }
}

/** Whether a promise has been settled when the microtasks so far are done. */
async function settled(promise: Promise<void>): Promise<boolean> {
  let done = false
  void promise.then(() => {
    done = true
  })
  await new Promise(setImmediate)
  return done
}

t.test('nobody holds it: done at once', async (t) => {
  const { drain, timers } = setup()
  await drain.start('graceful', 5000)
  t.ok(drain.signal.aborted)
  t.notOk(drain.forced.aborted)
  t.equal(timers.size, 0, 'no timer is left')
})

t.test('holders keep it open until they let go', async (t) => {
  const { drain, timers } = setup()
  const first = drain.hold('connection')
  const second = drain.hold('connection')
  const done = drain.start('graceful', 5000)
  t.same(
    [...timers].map(({ ms }) => ms),
    [5000],
  )
  first()
  first()
  t.notOk(await settled(done), 'letting go twice counts once')
  t.same(drain.holders(), ['connection'])
  second()
  await done
  t.notOk(drain.forced.aborted)
  t.equal(timers.size, 0)
})

t.test('at the deadline it warns, forces, and waits a little for the last words', async (t) => {
  const { drain, fire, lines } = setup()
  const release = drain.hold('connection')
  drain.hold('listener')
  const done = drain.start('graceful', 5000)
  fire()
  t.ok(drain.forced.aborted)
  release()
  t.notOk(await settled(done))
  fire()
  await done
  t.same(lines(), [
    'drain duration expired with pending connections, forcefully shutting down pending="connection: 1, listener: 1"',
    'shutting down although not everything has ended pending="listener: 1"',
  ])
})

t.test('immediate forces at once, also a graceful drain under way', async (t) => {
  const { drain, timers } = setup()
  const release = drain.hold('connection')
  drain.forced.addEventListener('abort', release)
  const done = drain.start('graceful', 5000)
  t.notOk(drain.forced.aborted)
  drain.start('immediate', 0)
  await done
  t.ok(drain.forced.aborted)
  t.equal(timers.size, 0)
})
