import fc from 'fast-check'
import t from 'tap'
import { aService } from '../mesh/test-support.ts'
import type { ConnectionInfo } from './connection-info.ts'
import { ManualClock, workload } from './test-support.ts'
import { TrafficMetrics } from './traffic-metrics.ts'

const workloads = [undefined, workload('one'), workload('two')]
const identities = [undefined, 'spiffe://cluster.local/ns/a/sa/a', 'spiffe://cluster.local/ns/b/sa/b']
const services = [undefined, ...['web', 'db'].map((name) => aService({ name }))]

const connection: fc.Arbitrary<ConnectionInfo> = fc.record({
  direction: fc.constantFrom('inbound', 'outbound'),
  source: fc.record({
    address: fc.constant('10.0.0.5:40000'),
    workload: fc.constantFrom(...workloads),
    identity: fc.constantFrom(...identities),
  }),
  destination: fc.record({
    address: fc.constant('10.0.0.9:80'),
    workload: fc.constantFrom(...workloads),
    identity: fc.constantFrom(...identities),
    service: fc.constantFrom(...services),
  }),
  secure: fc.boolean(),
  counts: fc.constant({ sent: 0, received: 0 }),
})

/** Lines without those that count label sets, in any order. */
function counted(metrics: TrafficMetrics): string[] {
  return metrics
    .exposition()
    .split('\n')
    .filter((line) => line.startsWith('istio_tcp_conn'))
    .toSorted()
}

/** The same connection to a cache that goes by objects, which has never seen these. */
function unseen(info: ConnectionInfo): ConnectionInfo {
  const { source, destination } = info
  return {
    ...info,
    source: { ...source, workload: source.workload && { ...source.workload } },
    destination: { ...destination, workload: destination.workload && { ...destination.workload } },
  }
}

t.test('connections are counted as if each had its labels put together', async () => {
  fc.assert(
    fc.property(fc.array(connection, { minLength: 1, maxLength: 60 }), (connections) => {
      const [known, fresh] = [new TrafficMetrics(), new TrafficMetrics()]
      for (const info of connections) {
        known.open(info).close('-')
        fresh.open(unseen(info)).close('-')
      }
      return counted(known).join() === counted(fresh).join()
    }),
  )
})

t.test('a series that was removed is not counted in', async (t) => {
  const clock = new ManualClock()
  const metrics = new TrafficMetrics({ clock })
  const [source, destination] = [workload('client'), workload('web')]
  const info: ConnectionInfo = {
    direction: 'outbound',
    source: { address: '10.0.0.5:40000', workload: source },
    destination: { address: '10.0.0.9:80', workload: destination },
    secure: true,
    counts: { sent: 0, received: 0 },
  }
  metrics.open(info).close('-')
  metrics.workloadRemoved(destination.uid)
  clock.advance(5 * 60_000)
  metrics.exposition()
  t.equal(metrics.labelSets, 0)
  metrics.open(info).close('-')
  t.match(metrics.exposition(), /opened_total\{.*destination_workload="web-deploy".*\} 1/)
})
