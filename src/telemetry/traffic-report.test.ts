import t from 'tap'
import type { ConnectionInfo } from './connection-info.ts'
import { ManualClock, workload } from './test-support.ts'
import { TrafficMetrics } from './traffic-metrics.ts'

const MINUTE = 60_000
const client = workload('client')
const web = workload('web')

/** Two threads that count, and the one that is scraped. */
function setup(maxLabelSets?: number) {
  const clock = new ManualClock()
  const limit = maxLabelSets === undefined ? {} : { maxLabelSets }
  const threads = [0, 1].map(() => new TrafficMetrics({ clock, reporting: true, ...limit }))
  const all = new TrafficMetrics({ clock, ...limit })
  const single = new TrafficMetrics({ clock, ...limit })
  const collect = (): void =>
    threads.forEach((metrics, thread) => {
      all.absorb(thread, structuredClone(metrics.takeReport()))
    })
  return { clock, threads, all, single, collect }
}

function connection(overrides: Partial<ConnectionInfo> = {}): ConnectionInfo & {
  counts: { sent: number; received: number }
} {
  const counts = { sent: 0, received: 0 }
  return {
    direction: 'outbound',
    source: { address: '10.0.0.5:40000', workload: client },
    destination: { address: '10.0.0.9:15008', workload: web },
    secure: true,
    ...overrides,
    counts,
  }
}

t.test('what threads report adds up to what one thread would have counted, however often', async (t) => {
  const { threads, all, single, collect } = setup()
  for (const metrics of [...threads, single, single]) {
    metrics.socketOpened('outbound')
    metrics.socketOpened('inbound')
    metrics.socketClosed('inbound')
    const open = connection()
    const traffic = metrics.open(open)
    open.counts.sent = 10
    if (metrics !== single) collect()
    open.counts.sent = 100
    open.counts.received = 7
    traffic.close('CONNECT')
    metrics.open(connection({ direction: 'inbound' })).close('-')
    if (metrics !== single) collect()
  }
  collect()
  t.equal(all.exposition(), single.exposition())
  t.match(all.exposition(), /istio_tcp_received_bytes_total\{.*\} 200\n/)
  t.match(all.exposition(), 'istio_tcp_sockets_open{reporter="source"} 2')
})

t.test('a report has only what is new', async (t) => {
  const { threads } = setup()
  const [metrics] = threads
  const traffic = metrics?.open(connection())
  t.equal(metrics?.takeReport().rows.length, 1)
  t.equal(metrics?.takeReport().rows.length, 0)
  traffic?.close('-')
  t.match(metrics?.takeReport().rows, [{ opened: 0, closed: [['-', 1]], live: 0, sources: [] }])
})

t.test('the connections of a thread that is lost have ended; its sockets are gone', async (t) => {
  const { threads, all, collect } = setup()
  for (const metrics of threads) {
    metrics.socketOpened('outbound')
    metrics.open(connection())
  }
  collect()
  all.threadLost(1)
  t.match(all.exposition(), /istio_tcp_connections_opened_total\{.*\} 2\n/)
  t.match(all.exposition(), /istio_tcp_connections_closed_total\{.*response_flags="CONNECT".*\} 1\n/)
  t.match(all.exposition(), 'istio_tcp_sockets_open{reporter="source"} 1')
  all.threadLost(1)
  t.match(all.exposition(), /istio_tcp_connections_closed_total\{.*response_flags="CONNECT".*\} 1\n/)
})

t.test('series of workloads that left the mesh go, with their last connection on any thread', async (t) => {
  const { clock, threads, all, collect } = setup()
  const traffic = threads[0]?.open(connection())
  collect()
  for (const metrics of [...threads, all]) metrics.workloadRemoved(web.uid)
  clock.advance(6 * MINUTE)
  t.match(all.exposition(), 'destination_workload="web-deploy"')
  traffic?.close('-')
  collect()
  t.notMatch(all.exposition(), 'destination_workload="web-deploy"')
})

t.test('label sets beyond the budget are counted under other, whichever thread has them', async (t) => {
  const { threads, all, collect } = setup(1)
  threads[0]?.open(connection())
  threads[1]?.open(connection({ destination: { address: '10.0.0.9:1', workload: workload('other-web') } }))
  threads[1]?.open(connection())
  collect()
  t.equal(all.labelSets, 1)
  t.match(all.exposition(), /istio_tcp_connections_opened_total\{.*destination_workload="other",.*\} 2\n/)
  t.match(all.exposition(), 'istio_tcp_folded_connections_total 2')
})
