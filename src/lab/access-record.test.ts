import t from 'tap'
import { AccessJournal } from './access-journal.ts'
import { parseAccessRecord } from './access-record.ts'

const LINE = {
  level: 'info',
  time: '2026-01-02T03:04:05.678901Z',
  scope: 'access',
  message: 'connection complete',
  'src.addr': '10.244.1.10:40000',
  'src.workload': 'sleep',
  'src.namespace': 'foo',
  'src.identity': 'spiffe://cluster.local/ns/foo/sa/sleep',
  'dst.addr': '10.244.2.12:15008',
  'dst.hbone_addr': '10.244.2.12:8000',
  'dst.workload': 'httpbin',
  'dst.namespace': 'bar-1',
  'dst.identity': 'spiffe://cluster.local/ns/bar-1/sa/httpbin',
  direction: 'outbound',
  bytes_sent: 67,
  bytes_recv: 490,
  duration: '13ms',
  trace_id: '0af7651916cd43dd8448eb211c80319c',
}

t.test('a line of the access log', async (t) => {
  t.same(parseAccessRecord('ztunnel@node-a', JSON.stringify(LINE)), {
    proxy: 'ztunnel@node-a',
    direction: 'outbound',
    source: '10.244.1.10:40000',
    sourceWorkload: 'foo/sleep',
    sourceIdentity: 'spiffe://cluster.local/ns/foo/sa/sleep',
    destination: '10.244.2.12:15008',
    hboneAddress: '10.244.2.12:8000',
    destinationWorkload: 'bar-1/httpbin',
    destinationIdentity: 'spiffe://cluster.local/ns/bar-1/sa/httpbin',
    bytesSent: 67,
    bytesReceived: 490,
    duration: '13ms',
    error: undefined,
    policy: undefined,
    traceId: '0af7651916cd43dd8448eb211c80319c',
  })
})

t.test('other lines are not connections', async (t) => {
  for (const line of [
    '',
    'not JSON',
    'null',
    '[]',
    JSON.stringify({ ...LINE, scope: 'ztunnel::proxy' }),
    JSON.stringify({ ...LINE, message: 'connection opened' }),
    JSON.stringify({ ...LINE, direction: 'sideways' }),
  ]) {
    t.equal(parseAccessRecord('ztunnel@node-a', line), undefined, line.slice(0, 40))
  }
})

t.test('the journal waits for what is still to come', async (t) => {
  const journal = new AccessJournal()
  journal.read('a', JSON.stringify(LINE))
  const position = journal.length
  const gathered = journal.gather(position, (records) => records.length === 2, 60_000)
  journal.read('b', 'noise')
  journal.read('b', JSON.stringify(LINE))
  journal.read('c', JSON.stringify(LINE))
  t.same(
    (await gathered).map(({ proxy }) => proxy),
    ['b', 'c'],
  )
})

t.test('the journal gives what there is when the rest does not come', async (t) => {
  const journal = new AccessJournal()
  journal.read('a', JSON.stringify(LINE))
  const records = await journal.gather(0, (all) => all.length === 2, 1)
  t.same(
    records.map(({ proxy }) => proxy),
    ['a'],
  )
})
