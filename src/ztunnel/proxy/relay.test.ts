import { PassThrough } from 'node:stream'
import t from 'tap'
import { authorize, type PolicyContext, type Verdict } from '../../mesh/index.ts'
import { aPolicy, aWorkload } from '../../mesh/test-support.ts'
import { ConnectionTelemetry, createLogger } from '../../telemetry/index.ts'
import { TrafficMetrics } from '../../telemetry/traffic-metrics.ts'
import { ConnectionTracker } from './connection-tracker.ts'
import { type RelayPlan, relay } from './relay.ts'

const CONTEXT: PolicyContext = {
  sourceIdentity: undefined,
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.0.0.2',
  destinationPort: 80,
}
const DENIED = authorize([aPolicy({ name: 'no', action: 'DENY', rules: [[]] })], CONTEXT)
const ALLOWED = authorize([aPolicy({ name: 'yes', rules: [[]] })], CONTEXT)

function setup() {
  const log: Record<string, unknown>[] = []
  const write = (line: string): void => void log.push(JSON.parse(line) as Record<string, unknown>)
  const logger = createLogger({ format: 'json', level: 'info', destination: { write } })
  const verdicts: Verdict[] = []
  const telemetry = new ConnectionTelemetry({ log: logger.scope('access'), metrics: new TrafficMetrics() })
  const tracker = new ConnectionTracker()
  const events: string[] = []
  const run = (judge: () => Verdict | Promise<Verdict>) => {
    const plan: RelayPlan = {
      info: {
        direction: 'inbound',
        source: { address: '10.0.0.1:4000' },
        destination: { address: '10.0.0.2:80', workload: aWorkload({ name: 'pod' }) },
        secure: false,
      },
      originalDestination: '10.0.0.2:80',
      actualDestination: '10.0.0.2:80',
      policy: { context: CONTEXT, judge },
      connect: async () => {
        events.push('connect')
        const ended = () => new PassThrough().end().resume()
        return { downstream: ended(), upstream: ended() }
      },
      fail: () => void events.push('fail'),
    }
    return relay({ tracker, telemetry, onVerdict: (verdict) => void verdicts.push(verdict) }, plan)
  }
  return { run, tracker, log, verdicts, events, telemetry }
}

t.test('a judgement that throws refuses the connection, and leaves nothing behind', async (t) => {
  const { run, tracker, log, events, telemetry } = setup()
  const outcome = await run(() => {
    throw new Error('no verdict')
  })
  t.match(outcome, { kind: 'failed', flag: 'CONNECT', error: 'no verdict' })
  t.same(events, ['fail'])
  t.match(log, [{ message: 'connection complete', error: 'no verdict' }])
  t.same(telemetry.connections(), [])
  t.same([...tracker.list()], [])
})

t.test('a denial names the policy, its rule and what the client was', async (t) => {
  const { run, log, events, verdicts } = setup()
  t.match(await run(() => DENIED), { kind: 'failed', flag: 'DENY', policy: 'default/no' })
  t.same(events, ['fail'])
  t.same(verdicts, [DENIED])
  t.match(log, [
    {
      error: 'connection closed due to policy rejection: explicitly denied by: default/no',
      policy: 'default/no',
      rule: 1,
      judged: 'no identity from 10.0.0.1 to 10.0.0.2:80',
    },
  ])
})

t.test('what is let through is not said to have been refused', async (t) => {
  const { run, log, events } = setup()
  t.match(await run(() => ALLOWED), { kind: 'complete' })
  t.same(events, ['connect'])
  t.match(log, [{ policy: 'default/yes', rule: 1 }])
  t.notOk('judged' in (log[0] ?? {}))
})

t.test('a policy that overtakes a verdict has the last word, and no application is dialled', async (t) => {
  const { run, tracker, log, events, verdicts } = setup()
  const { promise, resolve } = Promise.withResolvers<Verdict>()
  const relayed = run(() => promise)
  t.equal([...tracker.list()].length, 1, 'tracked while it is judged')
  tracker.reevaluate(() => DENIED)
  resolve(ALLOWED)
  t.match(await relayed, { kind: 'failed', flag: 'DENY', policy: 'default/no' })
  t.same(events, ['fail'])
  t.same(verdicts, [ALLOWED, DENIED])
  t.match(log, [{ error: 'connection closed due to policy change', policy: 'default/no', rule: 1 }])
})

t.test(
  'a policy that it was waiting for is one decision, though it also looks at what is open',
  async (t) => {
    const { run, tracker, log, verdicts } = setup()
    const { promise, resolve } = Promise.withResolvers<Verdict>()
    const relayed = run(() => promise)
    tracker.reevaluate(() => DENIED)
    resolve(DENIED)
    await relayed
    t.same(verdicts, [DENIED])
    t.match(log, [{ error: /^connection closed due to policy rejection/, rule: 1 }])
  },
)
