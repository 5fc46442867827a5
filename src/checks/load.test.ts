import t from 'tap'
import { load } from './load.ts'
import type { AccessLine } from './model.ts'
import { line, wrong } from './test-support.ts'

const arrived = line('proxy-b', 'arrived')
const ofLoad = (other: Readonly<Record<string, string>> = {}): AccessLine => ({
  ...arrived,
  fields: { ...arrived.fields, 'src.workload': 'ztunnel-load-1', ...other },
})
const lines = Array.from({ length: 50 }, () => ofLoad())
const metric = (security: string, count: number) =>
  `istio_tcp_connections_opened_total{reporter="destination",source_canonical_service="load",connection_security_policy="${security}"} ${count}`
const metrics = `# HELP istio_tcp_connections_opened TCP\n${metric('mutual_tls', 50)}\n${metric('unknown', 7)}`

t.test('right: fifty connections over one tunnel, and counted', (t) => {
  t.strictSame(wrong(load.judge({ lines, metrics })), [])
  t.end()
})

t.test('wrong: none, too few, one that failed at either end, one in plaintext, a tunnel for each', (t) => {
  t.equal(wrong(load.judge({ lines: [], metrics: '' })).length, 4)
  t.equal(wrong(load.judge({ lines: lines.map(() => arrived), metrics })).length, 3, 'of another client')
  t.match(wrong(load.judge({ lines: lines.slice(1), metrics })), [/^at least 50/])
  const lost = ofLoad({ direction: 'outbound', error: 'io error: connect ECONNREFUSED' })
  t.match(wrong(load.judge({ lines: [...lines, lost], metrics })), [/^none of them failed/])
  const { 'dst.hbone_addr': _tunnel, ...fields } = ofLoad().fields
  t.match(wrong(load.judge({ lines: [...lines, { ...arrived, fields }], metrics })), [/^each in a tunnel/])
  const apart = lines.map((_line, index) => ofLoad({ 'src.addr': `10.0.0.1:${index}` }))
  t.match(wrong(load.judge({ lines: apart, metrics })), [/^each in a tunnel/])
  t.match(wrong(load.judge({ lines, metrics: metric('unknown', 50) })), [/^the metrics/])
  t.end()
})
