import t from 'tap'
import { authorize } from '../mesh/authorize.ts'
import { explainSubject } from '../mesh/explain.ts'
import { aMatch, aPolicy, aService } from '../mesh/test-support.ts'
import { ConnectionTelemetry } from './connection.ts'
import type { ConnectionInfo } from './connection-info.ts'
import { createLogger } from './logger.ts'
import { Lines, ManualClock, workload } from './test-support.ts'
import { TrafficMetrics } from './traffic-metrics.ts'

function setup(level = 'info') {
  const destination = new Lines()
  const clock = new ManualClock()
  const log = createLogger({ format: 'plain', level, destination, clock }).scope('access')
  const metrics = new TrafficMetrics({ clock })
  return {
    telemetry: new ConnectionTelemetry({ log, metrics, clock }),
    metrics,
    lines: destination.lines,
    clock,
  }
}

const client = workload('client', { name: 'client-abc' })
const web = workload('web', { name: 'web-1' })

function outbound(): ConnectionInfo {
  return {
    direction: 'outbound',
    source: {
      address: '10.0.0.5:40000',
      workload: client,
      identity: 'spiffe://cluster.local/ns/default/sa/client',
    },
    destination: {
      address: '10.0.0.9:15008',
      hboneAddress: '10.0.0.9:8080',
      service: aService({ name: 'web' }),
      workload: web,
    },
    secure: true,
    traceId: '0af7651916cd43dd8448eb211c80319c',
    counts: { sent: 0, received: 0 },
    steps: [
      { step: 'service-lookup', detail: 'default/web' },
      { step: 'load-balance', detail: 'web-1 of 3' },
    ],
  }
}

const ENDS =
  'src.addr=10.0.0.5:40000 src.workload="client-abc" src.namespace="default" src.identity="spiffe://cluster.local/ns/default/sa/client" src.cluster="Kubernetes" dst.addr=10.0.0.9:15008 dst.hbone_addr=10.0.0.9:8080 dst.service="web.default.svc.cluster.local" dst.workload="web-1" dst.namespace="default" dst.identity="spiffe://cluster.local/ns/default/sa/web" dst.cluster="Kubernetes"'

t.test('an outbound connection that ends well', async (t) => {
  const { telemetry, lines, clock } = setup()
  const info = outbound()
  const connection = telemetry.open(info)
  t.same(lines, [], 'nothing at info level yet')
  info.counts.sent = 67
  info.counts.received = 490
  clock.advance(13.9)
  connection.close()
  connection.close({ error: 'twice' })
  t.same(lines, [
    `2026-01-02T03:04:05.691900Z\tinfo\taccess\tconnection complete\t${ENDS} direction="outbound" bytes_sent=67 bytes_recv=490 duration="13ms" trace_id="0af7651916cd43dd8448eb211c80319c"\n`,
  ])
})

t.test('bytes are seen from the local workload: an inbound line flips them', async (t) => {
  const { telemetry, lines } = setup()
  const info: ConnectionInfo = { ...outbound(), direction: 'inbound', traceId: undefined }
  const connection = telemetry.open(info)
  info.counts.sent = 67
  info.counts.received = 490
  connection.close()
  t.match(lines[0], 'direction="inbound" bytes_sent=490 bytes_recv=67 duration="0ms"\n')
})

t.test('an error is at error level, with the rule that decided and whom it judged', async (t) => {
  const { telemetry, lines } = setup()
  const context = {
    sourceIdentity: { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'client' },
    sourceAddress: '10.0.0.5',
    destinationAddress: '10.0.0.9',
    destinationPort: 8080,
  }
  const verdict = authorize([aPolicy({ name: 'deny', action: 'DENY', rules: [[[aMatch()]], []] })], context)
  telemetry.open({ ...outbound(), traceId: undefined }).close({
    error: 'connection closed due to policy rejection: explicitly denied by: default/deny',
    flag: 'DENY',
    policy: 'default/deny',
    verdict,
    judged: explainSubject(context),
  })
  t.equal(
    lines[0],
    `2026-01-02T03:04:05.678000Z\terror\taccess\tconnection complete\t${ENDS} direction="outbound" bytes_sent=0 bytes_recv=0 duration="0ms" error="connection closed due to policy rejection: explicitly denied by: default/deny" policy="default/deny" rule=2 judged="spiffe://cluster.local/ns/default/sa/client from 10.0.0.5 to 10.0.0.9:8080"\n`,
  )
})

t.test('where no policy allowed it, those are named that could have', async (t) => {
  const { telemetry, lines } = setup()
  const context = {
    sourceIdentity: undefined,
    sourceAddress: '10.0.0.5',
    destinationAddress: '10.0.0.9',
    destinationPort: 8080,
  }
  const verdict = authorize([aPolicy({ name: 'a' }), aPolicy({ name: 'b' })], context)
  telemetry
    .open({ ...outbound(), secure: false, traceId: undefined })
    .close({ error: 'none allowed', verdict, judged: explainSubject(context) })
  t.match(
    lines[0],
    'error="none allowed" unmatched="default/a, default/b" judged="no identity from 10.0.0.5 to 10.0.0.9:8080"\n',
  )
})

t.test('plaintext proves no identity, and unknown values are left out', async (t) => {
  const { telemetry, lines } = setup()
  telemetry
    .open({
      direction: 'inbound',
      source: { address: '192.0.2.1:1234' },
      destination: { address: '10.0.0.9:8080', workload: web },
      secure: false,
      counts: { sent: 0, received: 0 },
    })
    .close()
  t.match(
    lines[0],
    'connection complete\tsrc.addr=192.0.2.1:1234 dst.addr=10.0.0.9:8080 dst.workload="web-1" dst.namespace="default" dst.cluster="Kubernetes" direction="inbound"',
  )
})

t.test('a source known by its baggage only goes by its canonical service', async (t) => {
  const { telemetry, lines } = setup()
  const info = outbound()
  telemetry
    .open({
      ...info,
      direction: 'inbound',
      source: {
        address: '192.0.2.1:1234',
        baggage: { serviceName: 'remote-app', namespace: 'far', clusterId: 'c2', workloadName: 'remote' },
        identity: 'spiffe://cluster.local/ns/far/sa/remote',
      },
    })
    .close()
  t.match(
    lines[0],
    'src.addr=192.0.2.1:1234 src.workload="remote-app" src.namespace="far" src.identity="spiffe://cluster.local/ns/far/sa/remote" src.cluster="c2"',
  )
})

t.test('at debug level the opening is written, with the route', async (t) => {
  const { telemetry, lines } = setup('debug')
  telemetry.open(outbound())
  t.same(lines, [
    `2026-01-02T03:04:05.678000Z\tdebug\taccess\tconnection opened\t${ENDS} direction="outbound" route="service-lookup: default/web; load-balance: web-1 of 3" trace_id="0af7651916cd43dd8448eb211c80319c"\n`,
  ])
})

t.test('an early rejection is a warning and counts nowhere', async (t) => {
  const { telemetry, lines, metrics } = setup()
  telemetry.rejectedEarly({
    sourceAddress: '10.0.0.5:40000',
    destinationAddress: '127.0.0.1:15001',
    direction: 'outbound',
    error: 'attempted recursive call to ourselves',
  })
  t.same(lines, [
    '2026-01-02T03:04:05.678000Z\twarn\taccess\tconnection failed\tsrc.addr=10.0.0.5:40000 dst.addr=127.0.0.1:15001 direction="outbound" error="attempted recursive call to ourselves"\n',
  ])
  t.notMatch(metrics.exposition(), 'istio_tcp_connections')
})

t.test('what is open can be listed, and is closed as drained at the end', async (t) => {
  const { telemetry, lines, metrics, clock } = setup()
  const info = outbound()
  const connection = telemetry.open(info)
  info.counts.sent = 5
  clock.advance(1500)
  t.match(telemetry.connections(), [
    {
      direction: 'outbound',
      source: '10.0.0.5:40000',
      sourceWorkload: 'client-abc',
      sourceIdentity: 'spiffe://cluster.local/ns/default/sa/client',
      destination: '10.0.0.9:15008',
      hboneAddress: '10.0.0.9:8080',
      service: 'web.default.svc.cluster.local',
      bytesSent: 5,
      ageMs: 1500,
    },
  ])
  telemetry.closeAll()
  connection.close()
  t.equal(lines.length, 1)
  t.match(lines[0], 'error="connection closed due to connection drain"')
  t.match(metrics.exposition(), /connections_closed_total\{.*response_flags="-".*\} 1/)
  t.same(telemetry.connections(), [])
})

t.test('the identity that the far side proved is shown, not the one that was expected', async (t) => {
  const { telemetry, lines } = setup()
  const proven = 'spiffe://cluster.local/ns/default/sa/alternative'
  telemetry.open(outbound()).close({ peerIdentity: proven })
  t.match(lines[0], `dst.identity="${proven}"`)
})
