import '../support/own-namespaces.ts'
import { join } from 'node:path'
import t from 'tap'
import type { ClientReport } from '../../src/lab/client.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'
import { startWaypointProcess } from '../support/waypoint-process.ts'

const MESH = join(import.meta.dirname, '../support/waypoint-mesh')
const VIP = '10.96.0.10'
const POD = '10.244.4.10'
const CLIENT = 'spiffe://cluster.local/ns/app/sa/client'

t.test('client, ztunnel, waypoint, ztunnel, application', async (t) => {
  await using lab = await startLab({ manifests: MESH, waypoints: false })
  await using waypoint = await startWaypointProcess(lab, 'app/waypoint')
  const http = (from: string, host: string, path: string, marker = lab.newMarker(), port = 80) =>
    lab.connect(from, { kind: 'http', host, port, path, marker })
  const app = ({ body }: ClientReport): { app?: string; from?: string } => JSON.parse(body ?? '{}')
  const requests = () => waypoint.lines().filter(({ message }) => message === 'request')

  await t.test('a request goes to v1, with a header to v2, each through the waypoint', async (t) => {
    const first = await http('app/client', VIP, '/hello')
    t.match(first, { ok: true, status: 200 })
    t.match(app(first), { app: 'app/v1', from: '10.244.3.10' }, 'the application sees the waypoint’s address')
    const second = await http('app/client', VIP, '/hello', `${lab.newMarker()}-two`)
    t.equal(app(second).app, 'app/v2')
    await until(() => requests().length === 2, 'both lines')
    t.match(requests()[1], {
      method: 'GET',
      path: '/hello',
      response_code: 200,
      route_name: 'HTTPRoute/app/versions',
      route_rule: 'second',
      upstream_host: '10.244.4.11:8000',
      'src.identity': CLIENT,
      'src.workload': 'client',
      'dst.service': 'server.app.svc.cluster.local',
      'dst.workload': 'v2',
    })
    const traceId = requests()[1]?.['trace_id']
    await until(
      () => lab.proxyLogs().some((record) => record.traceId === traceId && record.direction === 'outbound'),
      'the client’s proxy to tell of the same trace',
    )
  })

  await t.test('a path that policy denies: 403, and the waypoint says by which policy', async (t) => {
    t.match(await http('app/client', VIP, '/admin'), { status: 403, body: 'RBAC: access denied' })
    await until(() => requests().some((line) => line['response_code'] === 403), 'the line')
    t.match(
      requests().find((line) => line['response_code'] === 403),
      { policy: 'app/no-admin', 'src.identity': CLIENT },
    )
  })

  await t.test(
    'who calls the pod past the waypoint is sent through it, and meets the same policy',
    async (t) => {
      const allowed = await http('plain/client', POD, '/hello', lab.newMarker(), 8000)
      t.match(allowed, { ok: true, status: 200 })
      t.match(app(allowed), { app: 'app/v1', from: '10.244.3.10' }, 'by way of the waypoint')
      t.match(await http('plain/client', POD, '/admin', lab.newMarker(), 8000), { status: 403 })
      await until(() => requests().filter((line) => line['response_code'] === 403).length === 2, 'the line')
      const denied = requests().findLast((line) => line['response_code'] === 403)
      t.equal(denied?.['src.identity'], undefined, 'it proved nothing')
      t.match(denied?.['src.addr'], /^10\.244\.2\.10:/, 'and is known by its address')
    },
  )

  await t.test('TCP: declared, and undeclared with a server that speaks first', async (t) => {
    for (const port of [9000, 9001]) {
      const report = await lab.connect('app/client', {
        kind: 'tcp',
        host: VIP,
        port,
        marker: lab.newMarker(),
      })
      t.match(report, { ok: true, markerReturned: true }, `port ${port}`)
    }
  })

  await t.test('what it tells of itself', async (t) => {
    const dump = JSON.parse(await waypoint.ask('/config_dump'))
    t.match(dump.routes, [{ kind: 'HTTPRoute', name: 'versions' }])
    t.match(dump.waypointPolicies, [{ name: 'no-admin' }])
    const metrics = await waypoint.ask('/metrics', 15020)
    t.match(
      metrics,
      /istio_requests_total\{reporter="waypoint",source_workload="client".*response_code="403"/,
    )
    t.match(metrics, /istio_tcp_connections_opened_total\{reporter="waypoint"/)
    t.match(metrics, /istio_request_duration_milliseconds_bucket\{/)
  })

  await t.test('SIGTERM: it ends by itself', async (t) => {
    waypoint.component.signal('SIGTERM')
    t.match(await waypoint.component.exited, { code: 0 })
  })
})
