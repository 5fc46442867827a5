import t from 'tap'
import { InFlight } from './in-flight.ts'

t.test('idle waits for work of either outcome, and for what is added meanwhile', async (t) => {
  const flight = new InFlight()
  await flight.idle()
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  flight.add(first.promise)
  let idle = false
  const waiting = flight.idle().then(() => {
    idle = true
  })
  flight.add(second.promise)
  first.reject(new Error('broken'))
  await new Promise(setImmediate)
  t.notOk(idle)
  second.resolve()
  await waiting
})
