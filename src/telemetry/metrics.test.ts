import fc from 'fast-check'
import t from 'tap'
import { aService } from '../mesh/test-support.ts'
import type { ConnectionInfo } from './connection-info.ts'
import { createMetrics } from './metrics.ts'
import { ManualClock, workload } from './test-support.ts'
import { TrafficMetrics } from './traffic-metrics.ts'

const client = workload('client')
const web = workload('web')

function info(overrides: Partial<ConnectionInfo> = {}): ConnectionInfo {
  return {
    direction: 'outbound',
    source: { address: '10.0.0.5:40000', workload: client },
    destination: { address: '10.0.0.9:15008', service: aService({ name: 'web' }), workload: web },
    secure: true,
    counts: { sent: 0, received: 0 },
    ...overrides,
  }
}

const SAMPLE = /^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\n"])*",?)*)\})? (\d+(?:\.\d+)?)$/

/** The samples of an exposition by name and labels; fails on a line that OpenMetrics does not know. */
function samples(text: string): Map<string, number> {
  const found = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# ')) continue
    const match = SAMPLE.exec(line)
    if (match === null) throw new Error(`not a sample: ${line}`)
    found.set(`${match[1]}{${match[2] ?? ''}}`, Number(match[3]))
  }
  return found
}

function total(text: string, name: string, containing = ''): number {
  let sum = 0
  for (const [key, value] of samples(text)) {
    if (key.startsWith(`${name}{`) && key.includes(containing)) sum += value
  }
  return sum
}

t.test('labels, their order and their values', async (t) => {
  const metrics = new TrafficMetrics()
  metrics.open(info())
  const line = metrics.exposition().split('\n')[2]
  t.equal(
    line,
    'istio_tcp_connections_opened_total{reporter="source",source_workload="client-deploy",source_canonical_service="client-app",source_canonical_revision="v1",source_workload_namespace="default",source_principal="spiffe://cluster.local/ns/default/sa/client",source_app="client-app",source_version="v1",source_cluster="Kubernetes",destination_service="web.default.svc.cluster.local",destination_service_namespace="default",destination_service_name="web",destination_workload="web-deploy",destination_canonical_service="web-app",destination_canonical_revision="v1",destination_workload_namespace="default",destination_principal="spiffe://cluster.local/ns/default/sa/web",destination_app="web-app",destination_version="v1",destination_cluster="Kubernetes",request_protocol="tcp",response_flags="-",connection_security_policy="mutual_tls",source_region="r1",source_zone="z1",destination_region="r1",destination_zone="z1"} 1',
  )
})

t.test('what is not known is unknown, and plaintext proves no source', async (t) => {
  const metrics = new TrafficMetrics()
  metrics.open(
    info({ secure: false, source: { address: 'a:1' }, destination: { address: 'b:2', workload: web } }),
  )
  const text = metrics.exposition()
  t.match(text, 'source_workload="unknown"')
  t.match(text, 'source_principal="unknown"')
  t.match(
    text,
    'destination_principal="spiffe://cluster.local/ns/default/sa/web"',
    'named even without proof',
  )
  t.match(text, 'destination_service="unknown"')
  t.match(text, 'connection_security_policy="unknown",source_region="unknown"')
  const bare = new TrafficMetrics()
  bare.open(info({ source: { address: 'a:1' }, destination: { address: 'b:2' } }))
  t.notMatch(bare.exposition(), 'source_region', 'no localities when neither end is known')
})

t.test('an inbound source has only the identity that it proved', async (t) => {
  const metrics = new TrafficMetrics()
  metrics.open(info({ direction: 'inbound' }))
  t.match(metrics.exposition(), 'reporter="destination"')
  t.match(metrics.exposition(), 'source_principal="unknown"')
  metrics.open(
    info({
      direction: 'inbound',
      source: { address: 'a:1', workload: client, identity: 'spiffe://x/ns/a/sa/b' },
    }),
  )
  t.match(metrics.exposition(), 'source_principal="spiffe://x/ns/a/sa/b"')
})

t.test('baggage labels a source that no lookup knows', async (t) => {
  const metrics = new TrafficMetrics()
  const baggage = {
    workloadName: 'w',
    serviceName: 's',
    serviceVersion: 'v',
    namespace: 'n',
    clusterId: 'c',
    region: 'r',
  }
  metrics.open(info({ source: { address: 'a:1', baggage } }))
  t.match(
    metrics.exposition(),
    'source_workload="w",source_canonical_service="s",source_canonical_revision="v",source_workload_namespace="n",source_principal="unknown",source_app="w",source_version="v",source_cluster="c"',
  )
})

t.test('opened, closed and failed, with the outcome as flag', async (t) => {
  const metrics = new TrafficMetrics()
  const first = metrics.open(info())
  const second = metrics.open(info())
  metrics.open(info())
  t.equal(total(metrics.exposition(), 'istio_tcp_connections_opened_total', 'response_flags="-"'), 3)
  t.notMatch(metrics.exposition(), 'istio_tcp_connections_closed', 'a family without samples is left out')
  first.close('-')
  second.close('DENY')
  second.close('CONNECT')
  const text = metrics.exposition()
  t.equal(total(text, 'istio_tcp_connections_opened_total'), 3)
  t.equal(total(text, 'istio_tcp_connections_closed_total', 'response_flags="-"'), 1)
  t.equal(total(text, 'istio_tcp_connections_closed_total', 'response_flags="DENY"'), 1)
  t.equal(total(text, 'istio_tcp_connections_closed_total'), 2)
  t.equal(total(text, 'istio_tcp_connections_failed_total'), 1)
  t.equal(metrics.labelSets, 1)
})

t.test('bytes are exact at each look and at the end, named from the server', async (t) => {
  const metrics = new TrafficMetrics()
  const connection = info()
  const open = metrics.open(connection)
  connection.counts.sent = 10
  connection.counts.received = 100
  t.equal(total(metrics.exposition(), 'istio_tcp_received_bytes_total'), 10, 'received from the client')
  t.equal(total(metrics.exposition(), 'istio_tcp_sent_bytes_total'), 100)
  connection.counts.sent = 15
  open.close('CONNECT')
  connection.counts.sent = 99
  const other = info({ counts: { sent: 1, received: 2 } })
  metrics.open(other)
  const text = metrics.exposition()
  t.equal(total(text, 'istio_tcp_received_bytes_total'), 16)
  t.equal(total(text, 'istio_tcp_sent_bytes_total'), 102)
  t.equal(
    total(text, 'istio_tcp_sent_bytes_total', 'response_flags="-"'),
    102,
    'bytes never carry an outcome',
  )
})

t.test('label sets are bounded; the rest is counted as other', async (t) => {
  const clock = new ManualClock()
  const metrics = new TrafficMetrics({ clock, maxLabelSets: 2 })
  const from = (name: string) => info({ source: { address: 'a:1', baggage: { workloadName: name } } })
  const opened = ['a', 'b', 'c', 'd', 'a'].map((name) => metrics.open(from(name)))
  let text = metrics.exposition()
  t.equal(metrics.labelSets, 2)
  t.equal(total(text, 'istio_tcp_connections_opened_total'), 5, 'none is lost')
  t.equal(total(text, 'istio_tcp_connections_opened_total', 'source_workload="other"'), 2)
  t.equal(total(text, 'istio_tcp_folded_connections_total'), 2)
  for (const connection of opened) connection.close('-')
  clock.advance(15 * 60_000)
  metrics.open(from('e'))
  text = metrics.exposition()
  t.equal(total(text, 'istio_tcp_evicted_label_sets_total'), 2, 'idle sets made room')
  t.equal(total(text, 'istio_tcp_connections_opened_total', 'source_workload="e"'), 1)
})

t.test('a set with a live connection is never evicted', async (t) => {
  const clock = new ManualClock()
  const metrics = new TrafficMetrics({ clock, maxLabelSets: 1 })
  metrics.open(info())
  clock.advance(60 * 60_000)
  metrics.open(info({ source: { address: 'x:1' } }))
  t.equal(
    total(metrics.exposition(), 'istio_tcp_connections_opened_total', 'source_workload="client-deploy"'),
    1,
  )
  t.equal(total(metrics.exposition(), 'istio_tcp_evicted_label_sets_total'), 0)
})

t.test('no text of a peer breaks the exposition', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (text) => {
      const metrics = new TrafficMetrics()
      metrics.open(info({ source: { address: 'a:1', baggage: { workloadName: text, namespace: text } } }))
      const exposition = metrics.exposition()
      samples(exposition)
      return exposition.length < 10_000
    }),
  )
})

t.test('the sockets gauge', async (t) => {
  const metrics = new TrafficMetrics()
  metrics.socketOpened('inbound')
  metrics.socketOpened('inbound')
  metrics.socketOpened('outbound')
  metrics.socketClosed('inbound')
  t.match(
    metrics.exposition(),
    'istio_tcp_sockets_open{reporter="source"} 1\nistio_tcp_sockets_open{reporter="destination"} 1\n',
  )
})

t.test('the whole exposition', async (t) => {
  const metrics = createMetrics({ istioVersion: '1.30.0' })
  t.notMatch(await metrics.exposition(), 'istio_xds', 'families without samples are left out')
  metrics.traffic.open(info()).close('-')
  metrics.xds.connectionTerminated('Reconnect')
  metrics.xds.message('type.googleapis.com/istio.workload.Address', 10)
  metrics.xds.message('type.googleapis.com/istio.workload.Address', 5)
  metrics.workloadManager.activeProxies(2)
  metrics.workloadManager.pendingProxies(1)
  metrics.workloadManager.proxyStarted()
  metrics.workloadManager.proxyStopped()
  const text = await metrics.exposition()
  const all = samples(text)
  t.equal(all.get('istio_build{component="ztunnel",tag="1.30.0"}'), 1)
  t.equal(all.get('istio_xds_connection_terminations_total{reason="Reconnect"}'), 1)
  t.equal(all.get('istio_xds_message_total{url="type.googleapis.com/istio.workload.Address"}'), 2)
  t.equal(all.get('istio_xds_message_bytes_total{url="type.googleapis.com/istio.workload.Address"}'), 15)
  t.equal(all.get('workload_manager_active_proxy_count{}'), 2)
  t.equal(all.get('workload_manager_pending_proxy_count{}'), 1)
  t.equal(all.get('workload_manager_proxies_started_total{}'), 1)
  t.ok((all.get('process_open_fds{}') ?? 0) > 2)
  t.ok((all.get('process_max_fds{}') ?? 0) > 2)
  t.ok(text.endsWith('\n# EOF\n'))
  t.equal(text.match(/# EOF/g)?.length, 1)
  t.match(text, '# TYPE istio_tcp_connections_opened counter\n', 'the family has no _total')
  t.match(text, '# TYPE istio_xds_message counter\n')
  t.equal(total(await metrics.exposition(), 'istio_build'), 1, 'a second scrape is the same')
})

t.test('type URLs that a server makes up are counted together', async (t) => {
  const metrics = createMetrics()
  for (let i = 0; i < 100; i++) metrics.xds.message(`type.googleapis.com/made.up${i}`, 1)
  const urls = [...samples(await metrics.exposition()).keys()].filter((key) =>
    key.startsWith('istio_xds_message_total'),
  )
  t.equal(urls.length, 17)
  t.equal(total(await metrics.exposition(), 'istio_xds_message_total', 'url="other"'), 84)
})
