import t from 'tap'
import type { ConnectionInfo } from './connection-info.ts'
import { ManualClock, workload } from './test-support.ts'
import { TrafficMetrics } from './traffic-metrics.ts'

const MINUTE = 60_000
const client = workload('client')
const replicas = ['web-1', 'web-2'].map((name) =>
  workload(name, { workloadName: 'web', canonicalName: 'web', serviceAccount: 'web' }),
)

function setup() {
  const clock = new ManualClock()
  const metrics = new TrafficMetrics({ clock })
  const open = (destination = replicas[0]) => metrics.open(to(destination))
  return { clock, metrics, open }
}

function to(destination: ConnectionInfo['destination']['workload']): ConnectionInfo {
  return {
    direction: 'outbound',
    source: { address: '10.0.0.5:40000', workload: client },
    destination: { address: '10.0.0.9:15008', workload: destination },
    secure: true,
    counts: { sent: 0, received: 0 },
  }
}

t.test(
  'the series of a workload that left the mesh are still scraped for some minutes, then gone',
  async (t) => {
    const { clock, metrics, open } = setup()
    open().close('-')
    metrics.workloadRemoved(replicas[0]?.uid ?? '')
    clock.advance(4 * MINUTE)
    t.match(metrics.exposition(), 'destination_workload="web"')
    clock.advance(MINUTE)
    t.notMatch(metrics.exposition(), 'destination_workload="web"')
    t.equal(metrics.labelSets, 0)
    t.match(metrics.exposition(), 'istio_tcp_evicted_label_sets_total 1')
  },
)

t.test('a replica with the same labels keeps them', async (t) => {
  const { clock, metrics, open } = setup()
  for (const replica of replicas) open(replica).close('-')
  t.equal(metrics.labelSets, 1)
  metrics.workloadRemoved(replicas[0]?.uid ?? '')
  clock.advance(10 * MINUTE)
  t.match(metrics.exposition(), 'destination_workload="web"')
  metrics.workloadRemoved(replicas[1]?.uid ?? '')
  clock.advance(5 * MINUTE)
  t.notMatch(metrics.exposition(), 'destination_workload="web"')
})

t.test(
  'a replica that comes within those minutes goes on counting; the end that is still gone decides',
  async (t) => {
    const { clock, metrics, open } = setup()
    open(replicas[0]).close('-')
    metrics.workloadRemoved(replicas[0]?.uid ?? '')
    clock.advance(MINUTE)
    open(replicas[1]).close('-')
    clock.advance(10 * MINUTE)
    t.match(metrics.exposition(), /opened_total\{.*destination_workload="web".*\} 2/)
    metrics.workloadRemoved(client.uid)
    clock.advance(5 * MINUTE)
    t.equal(metrics.labelSets, 1, 'dropped only when somebody looks')
    metrics.exposition()
    t.equal(metrics.labelSets, 0, 'without its source nobody counts in it')
  },
)

t.test('a live connection keeps its series until it ends', async (t) => {
  const { clock, metrics, open } = setup()
  const connection = open()
  metrics.workloadRemoved(replicas[0]?.uid ?? '')
  clock.advance(60 * MINUTE)
  t.match(metrics.exposition(), 'destination_workload="web"')
  connection.close('-')
  t.notMatch(metrics.exposition(), 'destination_workload="web"')
})
