import t from 'tap'
import { createLogger } from '../../telemetry/index.ts'
import { Lines, ManualClock } from '../../telemetry/test-support.ts'
import { Readiness } from './readiness.ts'
import { startReadinessServer } from './readiness-server.ts'

function setup() {
  const destination = new Lines()
  const clock = new ManualClock()
  const log = createLogger({ format: 'plain', level: 'info', destination, clock }).scope('readiness')
  const messages = () => destination.lines.map((line) => line.split('\t')[3]?.trim())
  return { readiness: new Readiness({ log, clock }), clock, log, messages }
}

t.test('ready when every task is, and not ready again when one is reopened', async (t) => {
  const { readiness, clock, messages } = setup()
  const proxy = readiness.register('workload proxy manager')
  const state = readiness.register('state manager')
  t.same(readiness.pending(), ['state manager', 'workload proxy manager'], 'sorted')
  clock.advance(12)
  state.complete()
  state.complete()
  clock.advance(30)
  proxy.complete()
  t.same(readiness.pending(), [])
  proxy.reopen()
  proxy.reopen()
  t.same(readiness.pending(), ['workload proxy manager'])
  clock.advance(5)
  proxy.complete()
  t.same(messages(), [
    "Task 'state manager' complete (12ms), still awaiting 1 tasks",
    "Task 'workload proxy manager' complete (42ms), marking server ready",
    "Task 'workload proxy manager' is pending again, marking server not ready",
    "Task 'workload proxy manager' complete (5ms), marking server ready",
  ])
})

t.test('the readiness server', async (t) => {
  const { readiness, log } = setup()
  await using server = await startReadinessServer({ readiness, port: 0, ipv6Enabled: true, log })
  const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${server.port}${path}`, init)
  const b = readiness.register('b')
  const a = readiness.register('a')
  const waiting = await get('/healthz/ready')
  t.equal(waiting.status, 500)
  t.equal(await waiting.text(), 'not ready, pending: a, b\n')
  a.complete()
  b.complete()
  const ready = await get('/healthz/ready')
  t.equal(ready.status, 200)
  t.equal(await ready.text(), 'ready\n')
  t.equal((await get('/healthz/ready', { method: 'POST' })).status, 405)
  t.equal((await get('/other')).status, 404)
})
