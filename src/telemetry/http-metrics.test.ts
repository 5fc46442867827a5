import t from 'tap'
import { aService, aWorkload } from '../mesh/test-support.ts'
import { HttpMetrics, type RequestRecord } from './http-metrics.ts'

const CLIENT = aWorkload({ name: 'client' })
const SERVER = aWorkload({ name: 'server' })

function aRequest(overrides: Partial<RequestRecord> = {}): RequestRecord {
  return {
    info: {
      direction: 'inbound',
      reporter: 'waypoint',
      source: {
        address: '10.0.0.1:40000',
        workload: CLIENT,
        identity: 'spiffe://cluster.local/ns/default/sa/client',
      },
      destination: { address: '10.0.0.9:15008', workload: SERVER, service: aService() },
      secure: true,
    },
    protocol: 'http',
    status: 200,
    grpcStatus: undefined,
    flags: '-',
    durationMs: 3,
    requestBytes: 0,
    responseBytes: 120,
    ...overrides,
  }
}

function lines(metrics: HttpMetrics, start: string): string[] {
  return metrics
    .exposition()
    .split('\n')
    .filter((line) => line.startsWith(start))
}

t.test('a request is counted with Istio’s labels and measured three times', async (t) => {
  const metrics = new HttpMetrics()
  t.equal(metrics.exposition(), '', 'nothing before the first')
  metrics.record(aRequest())
  metrics.record(aRequest({ durationMs: 7 }))
  const [total] = lines(metrics, 'istio_requests_total')
  t.match(total, /^istio_requests_total\{reporter="waypoint",source_workload="client",/)
  t.match(total, /source_principal="spiffe:\/\/cluster\.local\/ns\/default\/sa\/client"/)
  t.match(total, /destination_service="server\.default\.svc\.cluster\.local"/)
  t.match(
    total,
    /,request_protocol="http",response_code="200",response_flags="-",connection_security_policy="mutual_tls"\} 2$/,
  )
  t.equal(total?.includes('grpc_response_status'), false)
  const bucket = (le: string) =>
    lines(metrics, 'istio_request_duration_milliseconds_bucket').find((line) => line.includes(`le="${le}"`))
  t.match(bucket('1'), / 0$/)
  t.match(bucket('5'), / 1$/)
  t.match(bucket('10'), / 2$/)
  t.match(bucket('+Inf'), / 2$/)
  t.match(lines(metrics, 'istio_request_duration_milliseconds_sum'), [/ 10$/])
  t.match(lines(metrics, 'istio_response_bytes_sum'), [/ 240$/])
  t.match(lines(metrics, 'istio_request_bytes_count'), [/ 2$/])
})

t.test('a call of gRPC has its status; codes that nobody knows are one', async (t) => {
  const metrics = new HttpMetrics()
  metrics.record(aRequest({ protocol: 'grpc', grpcStatus: 5 }))
  for (const grpcStatus of [17, 18, -1, 1.5]) metrics.record(aRequest({ protocol: 'grpc', grpcStatus }))
  for (const status of [600, 999]) metrics.record(aRequest({ status }))
  t.match(lines(metrics, 'istio_requests_total'), [
    /response_code="200",grpc_response_status="5".* 1$/,
    /grpc_response_status="other".* 4$/,
    /response_code="other".* 2$/,
  ])
})

t.test('label sets are bounded; the rest is counted under other', async (t) => {
  const metrics = new HttpMetrics({ maxLabelSets: 2 })
  for (const status of [200, 201, 202, 203]) metrics.record(aRequest({ status }))
  t.equal(metrics.labelSets, 2)
  const others = lines(metrics, 'istio_requests_total').filter((line) =>
    line.includes('destination_service="other"'),
  )
  t.equal(others.length, 2, 'what became of it is still told')
  t.match(lines(metrics, 'istio_http_folded_requests_total'), ['istio_http_folded_requests_total 2'])
})

t.test('a label set that nobody counts in any more makes room', async (t) => {
  let now = 0
  const metrics = new HttpMetrics({ maxLabelSets: 1, clock: { now: () => now, monotonic: () => now } })
  metrics.record(aRequest({ status: 200 }))
  now += 16 * 60_000
  metrics.record(aRequest({ status: 404 }))
  t.match(lines(metrics, 'istio_requests_total'), [/response_code="404"/])
})
